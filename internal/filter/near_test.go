package filter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"port", "port", 0}, {"prot", "port", 1}, {"prot", "proto", 1}, {"acept", "accept", 1},
		{"kitten", "sitting", 3}, {"ca", "abc", 3}, {"abcd", "badc", 2},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("%q to %q = %d, want %d: it is the same both ways", c.b, c.a, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	for in, want := range map[string][]string{
		"prot":                     {"proto", "port"},
		"PORTT":                    {"port"},
		"remot":                    {"remote"},
		"usr":                      {"user"},
		"durtion":                  {"duration"},
		"xyzzy":                    nil,
		"":                         nil,
		"contaner":                 {"container"},
		strings.Repeat("port", 99): nil,
	} {
		if d := cmp.Diff(want, Nearest(in, fieldNames())); d != "" {
			t.Errorf("%q: -want +got\n%s", in, d)
		}
	}
	if got := Nearest("ax", []string{"a1", "a2", "a3", "a4"}); len(got) != 3 {
		t.Errorf("%v: want at most three", got)
	}
}

func TestSyntaxErrorText(t *testing.T) {
	for _, c := range []struct {
		err  SyntaxError
		want string
	}{
		{SyntaxError{Col: 1, Msg: "m"}, `filter: column 1: m`},
		{SyntaxError{Col: 2, Msg: "m", Near: []string{"a"}}, `filter: column 2: m: did you mean "a"?`},
		{SyntaxError{Col: 3, Msg: "m", Near: []string{"a", "b", "c"}}, `filter: column 3: m: did you mean "a", "b" or "c"?`},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
