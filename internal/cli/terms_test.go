package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNegatedTerms(t *testing.T) {
	for args, want := range map[string]string{
		"events -unit:ssh.service port:22": "events !unit:ssh.service port:22",
		"list -a -user:root":               "list -a !user:root",
		"events -n 5 -port=80 -f":          "events -n 5 !port=80 -f",
		"events -n=5":                      "events -n=5", // a flag
		"events -bytes>1MB":                "events !bytes>1MB",
		"events -(port:1":                  "events !(port:1",
		"events -nuit:ssh":                 "events -nuit:ssh", // wrong as either: told as a flag
		"events --json -- -port:80":        "events --json -- -port:80",
		"record -port:80":                  "record -port:80", // takes no filter
		"events":                           "events",
		"":                                 "",
	} {
		got := negatedTerms(newRoot(), strings.Fields(args))
		if d := cmp.Diff(strings.Fields(want), got); d != "" {
			t.Errorf("%s: -want +got\n%s", args, d)
		}
	}
}

// TestNegationKeepsColumns: an error is told at the column that was typed.
func TestNegationKeepsColumns(t *testing.T) {
	_, err := parseFilter("events", negatedTerms(newRoot(), []string{"events", "-port:80", "prt:1"})[1:])
	if err == nil || !strings.Contains(err.Error(), "column 10:") {
		t.Errorf("got %v, want column 10", err)
	}
}

func TestFindService(t *testing.T) {
	file := "# comment\nssh 22/tcp\nhttp 80/tcp www # WorldWideWeb\nshort\nbad x/tcp\n"
	for name, want := range map[string]uint16{"ssh": 22, "www": 80, "80/tcp": 0, "bad": 0, "short": 0, "WorldWideWeb": 0, "none": 0} {
		if got, ok := findService(strings.NewReader(file), name); got != want || ok != (want != 0) {
			t.Errorf("findService(%q) = %d, %v, want %d", name, got, ok, want)
		}
	}
}
