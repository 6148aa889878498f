package http

import (
	"strings"
	"testing"
)

func TestTitle(t *testing.T) {
	for body, want := range map[string]string{
		"<title>x</title>":                          "x",
		"<HTML><Title class='a'> a\n\tb </TITLE>":   "a b",
		"<title>Tom &lt;&amp;&gt; Jerry</title>":    "Tom <&> Jerry",
		"<title>never ends":                         "",
		"<title":                                    "",
		"no title":                                  "",
		strings.Repeat("İ", 3) + "<title>x</title>": "", // lower case of another length
	} {
		if got := title(body); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
}

// FuzzTitle: a title is one line, and of no other size than what it was taken from.
func FuzzTitle(f *testing.F) {
	f.Add("<title>a &amp; b</title>")
	f.Add("<TITLE\xff>")
	f.Fuzz(func(t *testing.T, body string) {
		if s := title(body); strings.ContainsAny(s, "\n\r\t") || len(s) > 2*len(body) {
			t.Errorf("%q from %q", s, body)
		}
	})
}
