package interest

import (
	"errors"
	"strings"
	"testing"
)

// TestErrors: every mistake is told with its place and, where there is one, the
// nearest right word.
func TestErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"[[rule]]\nid = \"a\"\nwen = \"port:22\"", `i.toml:3:1: unknown key "wen"; did you mean "when"?`},
		{"[[rule]]\nid = \"a\"\nwhen = \"port:22 prot:tcp\"", `i.toml:3:17: when: unknown field "prot"; did you mean "proto"?`},
		{"[[rule]]\nid = \"a\"\nwhen = \"\"\"\nport:22\nprot:tcp\"\"\"", `i.toml:3:8: when: unknown field "prot"; did you mean "proto"?`},
		{"[[rule]]\nid = \"a\"\nwhen = \"port:22", `i.toml:3:`},
		{"[[rule]]\nid = \"a\"\nwhen = \"since:2h\"", `i.toml:3:8: when: a rule holds at any time`},
		{"[[rule]]\nid = \"a\"\nwhen = \"kind:listen kind:accept\"", `i.toml:3:8: when: nothing can match`},
		{"[[rule]]\nid = \"a\"\nwhen = 7", `i.toml:3:8: when: it takes a text`},
		{"[[rule]]\nid = \"A b\"", `i.toml:2:6: id "A b"`},
		{"[[rule]]\nid = \"starter.a\"", `i.toml:2:6: id "starter.a": those that begin with starter. are the program's own`},
		{"[[rule]]\nwhen = \"port:22\"", `i.toml:1:3: the rule has no id`},
		{"[[rule]]\nid = \"a\"", `i.toml:1:3: rule a has no condition`},
		{"[[rule]]\nid = \"a\"\nseverity = \"hihg\"", `i.toml:3:12: unknown severity "hihg": want one of info, low, medium, high, critical; did you mean "high"?`},
		{"[[rule]]\nid = \"a\"\ncondition = \"widend\"", `i.toml:3:13: unknown condition "widend": want one of world-writable, widened, new-listener, new-destination, unpackaged-module; did you mean "widened"?`},
		{"[[rule]]\nid = \"a\"\nports = [22, \"sssh\"]", `i.toml:3:14: ports: `},
		{"[[rule]]\nid = \"a\"\nports = [22,\n  70000]", `i.toml:4:3: ports: `},
		{"[[rule]]\nid = \"a\"\nports = [\"tpc/22\"]", `i.toml:3:10: ports: "tpc/22": want a port, as 22, 8000-8010, ssh or tcp/22; did you mean "tcp"?`},
		{"[[rule]]\nid = \"a\"\nports = [true]", `i.toml:3:10: ports: it takes texts, not: bool`},
		{"[[rule]]\nid = \"a\"\nports = []", `i.toml:3:1: ports: the list is empty`},
		{"[[rule]]\nid = \"a\"\naddresses = [\"10.0.0.0/8\", \"public\"]", `i.toml:3:28: addresses: "public" is neither`},
		{"[[rule]]\nid = \"a\"\nhosts = [\"10.0.0.1\"]", `i.toml:3:10: hosts: "10.0.0.1" is an address: it goes to addresses`},
		{"[[rule]]\nid = \"a\"\nhosts = [\"a*.example\"]", `i.toml:3:10: hosts: "a*.example" is no host name`},
		{"[[rule]]\nid = \"a\"\nbelongs = \"x\"", `i.toml:3:11: belongs: it takes a table`},
		{"[[rule]]\nid = \"a\"\nbelongs = {sshd = [\"sbin\"]}", `i.toml:3:20: belongs: sshd: "sbin" is no directory: want its whole path`},
		{"[[rule]]\nid = \"a\"\n[rule.belongs]\n\"/sshd\" = \"/sbin\"", `i.toml:4:1: belongs: "/sshd" is no process name`},
		{"[[rules]]\nid = \"a\"", `i.toml:1:3: unknown list of tables [[rules]]: want [[rule]]`},
		{"[rule]\nid = \"a\"", `i.toml:1:2: unknown table [rule]`},
		{"id = \"a\"", `i.toml:1:1: unknown key "id": it is of a rule, after [[rule]]`},
		{"starer = false", `i.toml:1:1: unknown key "starer"; did you mean "starter"?`},
		{"starter = \"no\"", `i.toml:1:11: starter: it takes true or false`},
		{"starter = false\nstarter = true", `i.toml:2:`},
		{"starter = \n", `i.toml:1:`},
		{"[[rule]]\nid = \"a\"\nports = 1\n[[rule]]\nid = \"a\"\nports = 2", `i.toml:4: the id "a" is taken, by i.toml:1`},
		{strings.Repeat("#", maxFile+1), `i.toml: larger than 1048576 bytes`},
	} {
		err := NewBuilder(testOptions()).Add("i.toml", []byte(c.text))
		var at *Error
		if !errors.As(err, &at) {
			t.Errorf("%q: %v is no *Error", c.text[:min(len(c.text), 80)], err)
			continue
		}
		if got := err.Error(); !strings.HasPrefix(got, c.want) || strings.Contains(got, "\n") {
			t.Errorf("%q:\n got %s\nwant %s", c.text[:min(len(c.text), 80)], got, c.want)
		}
	}
}

// TestBuilder: an error leaves what was there, and rules can be turned off.
func TestBuilder(t *testing.T) {
	b := NewBuilder(testOptions())
	if err := b.AddStarter(); err != nil {
		t.Fatal(err)
	}
	n := len(built(t, b).Rules())
	for _, bad := range []string{"[[rule]]\nid = \"x\"\nports = 1\n[[rule]]\nid = \"y\"", "[[rule]]\nid = \"x\"\nports = 1\n[[rule]]\nid = \"x\"\nports = 1"} {
		if err := b.Add("i.toml", []byte(bad)); err == nil {
			t.Errorf("%s: taken", bad)
		}
	}
	if got := len(built(t, b).Rules()); got != n {
		t.Errorf("%d rules after errors, %d before", got, n)
	}
	if err := b.Add("i.toml", []byte("disable = [\"starter.memfd\"]\nsigma = \"/etc/sigma\"")); err != nil {
		t.Fatal(err)
	}
	if got := len(built(t, b).Rules()); got != n-1 {
		t.Errorf("%d rules with one disabled, %d before", got, n)
	}
	if got := b.Sigma(); len(got) != 1 || got[0] != "/etc/sigma" {
		t.Errorf("Sigma: %q", got)
	}
	if err := b.Add("i.toml", []byte("disable = [\"starter.memfb\"]")); err != nil {
		t.Fatal(err)
	}
	_, err := b.Set()
	if want := `i.toml:1:12: there is no rule "starter.memfb" to disable; did you mean "starter.memfd"?`; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	b = NewBuilder(testOptions())
	if err := b.Add("i.toml", []byte("starter = false\ndisable = \"starter.memfd\"")); err != nil {
		t.Fatal(err)
	}
	if err := b.AddStarter(); err != nil || len(built(t, b).Rules()) != 0 {
		t.Errorf("%v: starter rules that are not wanted are there", err)
	}
}
