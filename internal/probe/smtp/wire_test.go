package smtp

import (
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

// play is a session with a server that says these lines, whatever it hears.
func play(lines ...string) (s session, heard *[]string) {
	say, next, heard := probetest.Play(lines...)
	return session{name: "[192.0.2.1]", say: say, next: next}, heard
}

func TestRun(t *testing.T) {
	const hello = "EHLO [192.0.2.1]"
	for _, tt := range []struct {
		name   string
		server []string
		said   string
		want   *probe.Answer // nil: another protocol
	}{
		{"extensions", []string{"220 mail.example ESMTP Service ready", "250-mail.example hello", "250-SIZE 1000", "250 STARTTLS", "221 bye"}, hello + "|QUIT",
			&probe.Answer{Summary: "mail.example ESMTP Service ready", Fields: []probe.Field{
				{Name: "greeting", Values: []string{"220 mail.example ESMTP Service ready"}},
				{Name: "name", Values: []string{"mail.example"}},
				{Name: "extensions", Values: []string{"SIZE 1000", "STARTTLS"}}}}},
		{"of RFC 821", []string{"220 old", "500 what", "250 old", "221 bye"}, hello + "|HELO [192.0.2.1]|QUIT",
			&probe.Answer{Summary: "old", Fields: []probe.Field{{Name: "greeting", Values: []string{"220 old"}}, {Name: "name", Values: []string{"old"}}}}},
		{"no service here", []string{"554 mail.example no"}, "",
			&probe.Answer{Summary: "mail.example no", Fields: []probe.Field{{Name: "greeting", Values: []string{"554 mail.example no"}}}}},
		{"goes silent", []string{"220 mail ESMTP"}, hello,
			&probe.Answer{Summary: "mail ESMTP", Fields: []probe.Field{{Name: "greeting", Values: []string{"220 mail ESMTP"}}}}},
		{"goes silent, and may be anything", []string{"220 ready"}, hello, nil},
		{"too busy after EHLO", []string{"220 ready", "421 busy", "421 busy"}, hello + "|HELO [192.0.2.1]|QUIT",
			&probe.Answer{Summary: "ready", Fields: []probe.Field{{Name: "greeting", Values: []string{"220 ready"}}}}},
		{"ftp", []string{"220 files", "500 what", "500 what"}, hello + "|HELO [192.0.2.1]", nil},
		{"nntp", []string{"200 news"}, "", nil},
	} {
		s, heard := play(tt.server...)
		a, err := s.run()
		if (err == nil) != (tt.want != nil) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if d := cmp.Diff(tt.want, a); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
		if said := strings.Join(*heard, "|"); said != tt.said {
			t.Errorf("%s: said %q, want %q", tt.name, said, tt.said)
		}
	}
}

func TestLiteral(t *testing.T) {
	for a, want := range map[net.Addr]string{
		&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}:             "[192.0.2.1]",
		&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 1}:      "[192.0.2.1]",
		&net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 1, Zone: "eth0"}: "[IPv6:fe80::1]",
		&net.UnixAddr{Name: "x"}:                                        "[127.0.0.1]",
	} {
		if got := literal(a); got != want {
			t.Errorf("%v is %q, want %q", a, got, want)
		}
	}
}

// FuzzRun: whatever a server says, no mail is begun, and an answer has what it
// was greeted with.
func FuzzRun(f *testing.F) {
	f.Add("220 a\n250-x\n250 c\n221 d")
	f.Add("220-a\n220 b\n500 x\n421 gone")
	f.Fuzz(func(t *testing.T, text string) {
		s, heard := play(strings.Split(text, "\n")...)
		a, err := s.run()
		if err == nil && !strings.HasPrefix(text, a.Get("greeting")) {
			t.Errorf("%q greets with %q", text, a.Get("greeting"))
		}
		if strings.Contains(strings.Join(*heard, "\n"), "MAIL") || len(*heard) > 3 {
			t.Errorf("said %q", *heard)
		}
	})
}

// TestHome: at SMTP's own port a greeting is enough, whatever it says, unless the
// server then turns out to speak something else.
func TestHome(t *testing.T) {
	for text, want := range map[string]string{
		"220 ready":                   "ready",
		"220 ready|500 what|500 what": "",
		"220 ready|hello":             "",
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
