package ftp

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

// play is a session with a server that says these lines, whatever it hears.
func play(lines ...string) (s session, heard *[]string) {
	say, next, heard := probetest.Play(lines...)
	return session{say: say, next: next}, heard
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name   string
		server []string
		want   *probe.Answer // nil: another protocol
	}{
		{"anonymous access (PortQry's own example)", []string{"220 Microsoft FTP Service", "500 'FEAT': command not understood", "331 Anonymous access allowed, send identity (e-mail name) as password.", "221 bye"},
			&probe.Answer{Summary: "Microsoft FTP Service; anonymous: password asked", Fields: []probe.Field{
				{Name: "greeting", Values: []string{"220 Microsoft FTP Service"}},
				{Name: "anonymous", Values: []string{"331 Anonymous access allowed, send identity (e-mail name) as password."}},
				{Name: "anonymous login", Values: []string{"password asked"}}}}},
		{"features", []string{"220-two", "220 lines", "211-Features:", " EPRT", " MLST type*;", "211 End", "530 no", "221 bye"},
			&probe.Answer{Summary: "two lines; anonymous: refused", Fields: []probe.Field{
				{Name: "greeting", Values: []string{"220-two", "220 lines"}},
				{Name: "features", Values: []string{"EPRT", "MLST type*;"}},
				{Name: "anonymous", Values: []string{"530 no"}},
				{Name: "anonymous login", Values: []string{"refused"}}}}},
		{"no greeting text, no password", []string{"220", "502 what", "230 in"},
			&probe.Answer{Summary: "anonymous: no password asked", Fields: []probe.Field{
				{Name: "greeting", Values: []string{"220"}}, {Name: "anonymous", Values: []string{"230 in"}},
				{Name: "anonymous login", Values: []string{"no password asked"}}}}},
		{"goes silent", []string{"220 ftp.example"}, &probe.Answer{Summary: "ftp.example", Fields: []probe.Field{{Name: "greeting", Values: []string{"220 ftp.example"}}}}},
		{"goes silent, and may be anything", []string{"220 ready"}, nil},
		{"turned away", []string{"421 too many connections"}, &probe.Answer{Summary: "too many connections", Fields: []probe.Field{{Name: "greeting", Values: []string{"421 too many connections"}}}}},
		{"smtp", []string{"220 mail ESMTP", "502 5.5.2 unknown", "502 5.5.2 unknown"}, nil},
		{"smtp, strict", []string{"220 mail ESMTP", "500 unknown", "503 HELO first"}, nil},
		{"nntp", []string{"200 news"}, nil},
		{"ssh", []string{"SSH-2.0-x"}, nil},
	} {
		s, heard := play(tt.server...)
		a, err := s.run()
		if (err == nil) != (tt.want != nil) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if d := cmp.Diff(tt.want, a); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
		if h := strings.Join(*heard, " "); !strings.HasPrefix("FEAT USER anonymous QUIT", h) {
			t.Errorf("%s: said %q", tt.name, h)
		}
	}
}

// FuzzRun: whatever a server says, an answer has what it was greeted with, and
// no password is ever sent.
func FuzzRun(f *testing.F) {
	f.Add("220 a\n211-x\n b\n211 c\n230 d")
	f.Add("220-a\n220 b\n500 x\n421 gone")
	f.Fuzz(func(t *testing.T, text string) {
		s, heard := play(strings.Split(text, "\n")...)
		a, err := s.run()
		if err == nil && !strings.HasPrefix(text, a.Get("greeting")) {
			t.Errorf("%q greets with %q", text, a.Get("greeting"))
		}
		if strings.Contains(strings.Join(*heard, "\n"), "PASS") {
			t.Errorf("said %q", *heard)
		}
	})
}

// TestHome: at FTP's own port a greeting is enough, whatever it says, unless the
// server then turns out to speak something else.
func TestHome(t *testing.T) {
	for text, want := range map[string]string{
		"220 ready":                   "ready",
		"220 ready|500 what|500 what": "",
		"220 ready|hello":             "",
		"421 too many connections":    "too many connections",
		"220 ready|211 no features":   "ready",
	} {
		s, _ := play(strings.Split(text, "|")...)
		s.home = true
		got := ""
		if a, err := s.run(); err == nil {
			got = a.Summary
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
