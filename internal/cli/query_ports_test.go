package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
)

func fewServices(name string) (uint16, bool) {
	p, ok := map[string]uint16{"https": 443, "x11-1": 6001}[name]
	return p, ok
}

func TestParsePorts(t *testing.T) {
	for text, want := range map[string]string{
		"22":                 "tcp/22",
		"22, 80-82":          "tcp/22 tcp/80 tcp/81 tcp/82",
		"udp/53,53/udp":      "udp/53",
		"both/53,BOTH/53":    "tcp/53 udp/53",
		"https,tcp/https":    "tcp/443",
		"x11-1":              "tcp/6001",
		"65535,1":            "tcp/65535 tcp/1",
		"udp/65534-65535":    "udp/65534 udp/65535",
		"22,22,tcp/22,22-22": "tcp/22",
	} {
		places, err := parsePorts(text, []probe.Proto{probe.TCP}, fewServices)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := placeWords(places); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"":          `bad port "": a number, a range or a name of the services file`,
		"22,":       `bad port "": a number, a range or a name of the services file`,
		"htps":      `bad port "htps": a number, a range or a name of the services file`,
		"0":         `bad port "0": a number, a range or a name of the services file`,
		"65536":     `bad port "65536": a number, a range or a name of the services file`,
		"90-80":     `bad range "90-80": FROM-TO, the lower port first`,
		"80-":       `bad range "80-": FROM-TO, the lower port first`,
		"icmp/8":    `bad port "icmp/8": tcp/, udp/ or both/ stands before it`,
		"tcp/udp/5": `bad port "udp/5": a number, a range or a name of the services file`,
	} {
		if _, err := parsePorts(text, []probe.Proto{probe.TCP}, fewServices); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func placeWords(places []servicePlace) string {
	var words []string
	for _, p := range places {
		words = append(words, fmt.Sprintf("%s/%d", p.proto, p.port))
	}
	return strings.Join(words, " ")
}

func TestGroups(t *testing.T) {
	all, err := readGroups("")
	if err != nil {
		t.Fatal(err)
	}
	g, err := findGroup(all, "Domains and Trusts")
	if err != nil {
		t.Fatal(err)
	}
	places, err := parsePorts(strings.Join(g.Ports, ","), []probe.Proto{probe.TCP}, fewServices)
	want := "tcp/135 tcp/389 udp/389 tcp/636 tcp/3268 tcp/3269 tcp/53 udp/53 tcp/88 udp/88 tcp/445 udp/137 udp/138 tcp/139 tcp/42"
	if got := placeWords(places); err != nil || got != want {
		t.Errorf("%v: %s, want %s", err, got, want)
	}
	if _, err := findGroup(all, "emial"); err == nil || !strings.HasPrefix(err.Error(), `unknown group "emial"`) {
		t.Error(err)
	}
	own := filepath.Join(t.TempDir(), "groups.toml")
	write := func(text string) {
		if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[[group]]\nname = 'mail'\ntitle = 'Ours'\nports = ['2525']\n")
	if all, err = readGroups(own); err != nil {
		t.Fatal(err)
	}
	if g, err := findGroup(all, "MAIL"); err != nil || g.Title != "Ours" {
		t.Errorf("%+v, %v", g, err)
	}
	for text, want := range map[string]string{
		"[[group]]\nname = 'x'\nport = ['1']\n":      own + `:3: unknown key "group.port"; did you mean "group.ports"?`,
		"[[group]]\nname = 'x'\n":                    own + ": group 1 has no name or no ports",
		"[[group]]\nname = 'x'\nports = ['70000']\n": own + `: group "x": bad port "70000": a number, a range or a name of the services file`,
		"[[group]\n": own + ":1:",
		"[[group]]\nname='x'\nports=['1']\n[[group]]\nname='x'\nports=['2']\n": own + `: group "x" stands twice`,
	} {
		write(text)
		if _, err := readGroups(own); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestParseExpect(t *testing.T) {
	got, err := parseExpect("f", []byte("# to let through\nweb1 https,80 listening # both\n\n10.0.0.7\tudp/161\tListening-or-Filtered\r\n"), fewServices)
	want := []expectation{
		{2, "web1", servicePlace{probe.TCP, 443}, probe.Listening}, {2, "web1", servicePlace{probe.TCP, 80}, probe.Listening},
		{4, "10.0.0.7", servicePlace{probe.UDP, 161}, probe.ListeningOrFiltered},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(expectation{}, servicePlace{})); d != "" || err != nil {
		t.Errorf("%v: -want +got\n%s", err, d)
	}
	for text, want := range map[string]string{
		"# none\n":            "f: nothing is expected in it",
		"web1 80\n":           `f:1: want HOST PORTS VERDICT, got "web1 80"`,
		"\nweb1 8x listening": `f:2: bad port "8x": a number, a range or a name of the services file`,
		"web1 80 listing":     `f:1: unknown verdict "listing": one of listening, not-listening, filtered, listening-or-filtered; did you mean "listening"?`,
	} {
		if _, err := parseExpect("f", []byte(text), fewServices); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
