package filter

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// TestKeywords checks what is a keyword and what only begins like one.
func TestKeywords(t *testing.T) {
	for src, want := range map[string]string{
		"orca":               "orca",
		"android":            "android",
		"nothing":            "nothing",
		"notify or orders":   "notify or orders",
		"a or b and c":       "a or b c",
		"a and b or c":       "a b or c",
		"a OR b":             "a or b",
		"a Or(b And c)":      "a or b c",
		"(a)or(b)":           "a or b",
		"(a)and(b)":          "a b",
		"(a)(b)":             "a b",
		"not a b":            "-a b",
		"not (a b)":          "-(a b)",
		"not not a":          "a",
		"not not not a":      "-a",
		"not -a":             "a",
		"-(-(a or b))":       "a or b",
		"-(-(a b)) c":        "a b c",
		"-(a or -(b c))":     "-(a or -(b c))",
		"!a":                 "-a",
		"!(a b)":             "-(a b)",
		"a && b || c":        "a b or c",
		"a\tb\r\n  c":        "a b c",
		"and":                "error",
		"or":                 "error",
		"not":                "error",
		"a not":              "error",
		"(a or)":             "error",
		"(or a)":             "error",
		"(a":                 "error",
		"a)":                 "error",
		"(a (b)":             "error",
		"a and or b":         "error",
		"a or and b":         "error",
		"- a":                "error",
		"!":                  "error",
		"-":                  "error",
		`name:or`:            "name:or",
		`name:and,not`:       "name:and,not",
		`"and"`:              `"and"`,
		`"NOT"`:              `"NOT"`,
		`"-a"`:               `"-a"`,
		`name:-a`:            "name:-a",
		`name:a=b`:           "name:a=b",
		`name:a:b`:           "name:a:b",
		`name="a b"`:         `name="a b"`,
		`name=""`:            `name=""`,
		`name:"",x`:          `name:"",x`,
		`a"b`:                "error",
		`"a"b`:               "error",
		`name:"a""`:          "error",
		`name:"a"""`:         `name:"a"""`,
		`name:,a`:            "error",
		`name:a,,b`:          "error",
		`name:a, b`:          "error",
		`,a`:                 "error",
		`a:`:                 "error",
		`:`:                  "error",
		`port::80`:           "error",
		`<5`:                 "error",
		`port=<5`:            "error",
		`port=>5`:            "error",
		`port!>5`:            "error",
		`name:(a)`:           "error",
		`10.0.0.1>5`:         "error",
		`"10.0.0.1>5"`:       `"10.0.0.1>5"`,
		"ip:1.2.3.4,5.6.7.8": "ip:1.2.3.4,5.6.7.8",
		"face:b00c::1":       "ip:face:b00c::1",
		"fe80::/10":          "ip:fe80::/10",
	} {
		x, err := Parse(src, testOptions())
		switch {
		case err != nil && want != "error":
			t.Errorf("%q: %v", src, err)
		case err == nil && x.String() != want:
			t.Errorf("%q prints %q, want %q", src, x, want)
		}
	}
}

// TestColumns checks that a column points at the offending value, counted in
// characters.
func TestColumns(t *testing.T) {
	for src, want := range map[string]int{
		"port:80 port:x":           14,
		"漢字 port:x":                9,
		`"漢字" port:80,443,x`:       18,
		"a or (b kind:nope)":       14,
		"-(name:a -kind:nope)":     16,
		"since:2h until:never":     16,
		"port:80 (":                9,
		"name:\"漢字":                6,
		"é é é nope:1":             7,
		"port:80\nkind:a":          14,
		"name:a, b":                8,
		"ip:10.0.0.1,10.0.0.2,bad": 22,
	} {
		_, err := Parse(src, testOptions())
		if s, ok := err.(*SyntaxError); !ok || s.Col != want {
			t.Errorf("%q: %v, want column %d", src, err, want)
		}
	}
}

// TestAnyTextRoundTrips puts hostile text in every text field, and bare: the
// canonical form must bring it back, to the byte.
func TestAnyTextRoundTrips(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	letters := []string{"a", "Z", "0", " ", "\t", "\n", "\"", ",", "(", ")", ":", "=", "<", ">", "!", "-", "*", "?", "[", "]", "\\", "/", "é", "漢", "\xff", "\x1b", "\u202e", "&", "|", ".", "or", "and", "not"}
	var names []string
	for i := range fields {
		if fields[i].class == classText {
			names = append(names, fields[i].name)
		}
	}
	opt := testOptions()
	opt.Modules = modules
	for range 20_000 {
		text := ""
		for range 1 + r.IntN(6) {
			text += letters[r.IntN(len(letters))]
		}
		quoted := `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
		src := quoted
		if r.IntN(4) > 0 {
			src = names[r.IntN(len(names))] + []string{":", "="}[r.IntN(2)] + quoted
		}
		x, err := Parse(src, opt)
		if err != nil {
			t.Fatalf("%q: %v", src, err)
		}
		again, err := Parse("("+x.String()+") or -"+x.String(), opt)
		if err != nil {
			t.Fatalf("%q prints %q: %v", src, x, err)
		}
		if kids := again.root.kids; len(kids) != 2 || !reflect.DeepEqual(kids[0], x.root) {
			t.Fatalf("%q prints %q, which is another expression", src, x)
		}
		if n := x.root.term; n.field.class == classText && n.texts[0].text != text {
			t.Fatalf("%q holds %q", src, n.texts[0].text)
		}
	}
}

// TestWords checks that each word of each word field selects itself alone.
func TestWords(t *testing.T) {
	for _, f := range Fields() {
		if f.Type != "word" {
			continue
		}
		for _, w := range f.Values {
			x := mustParse(t, f.Name+":"+w)
			if got := findField(f.Name).setOf(x.root.term.set); len(got) != 1 || got[0] != w {
				t.Errorf("%s:%s selects %v", f.Name, w, got)
			}
		}
		if all := mustParse(t, f.Name+":?*"); len(findField(f.Name).setOf(all.root.term.set)) != len(f.Values) {
			t.Errorf("%s:?* prints %s", f.Name, all)
		}
	}
}

// TestServices checks that the built-in names come before the system's, that both are
// taken in any case, and that a name is no port when nobody knows it.
func TestServices(t *testing.T) {
	opt := testOptions()
	opt.Services = func(s string) (uint16, bool) {
		switch s {
		case "ssh":
			return 2222, true
		case "our-app":
			return 4711, true
		}
		return 0, false
	}
	for src, want := range map[string]string{"port:ssh": "port:22", "port:SSH": "port:22", "port:Our-App": "port:4711", "lport>=our-app": "lport>=4711"} {
		x, err := Parse(src, opt)
		if err != nil || x.String() != want {
			t.Errorf("%s = %v, %v, want %s", src, x, err, want)
		}
	}
	if _, err := Parse("port:our-app", Options{}); err == nil {
		t.Error("a service that nobody knows is a port")
	}
	names := map[string]bool{}
	for _, s := range services {
		if names[s.name] || s.name != strings.ToLower(s.name) || s.port == 0 {
			t.Errorf("service %q %d", s.name, s.port)
		}
		names[s.name] = true
	}
}
