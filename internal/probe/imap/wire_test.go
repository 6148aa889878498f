package imap

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
)

// play runs the conversation with a server that says these lines.
func play(lines ...string) (a *probe.Answer, said string, err error) {
	var heard []string
	a, err = run(
		func(l string) error { heard = append(heard, l); return nil },
		func() (string, error) {
			if len(lines) == 0 {
				return "", io.EOF
			}
			l := lines[0]
			lines = lines[1:]
			return l, nil
		})
	return a, strings.Join(heard, "|"), err
}

func TestRun(t *testing.T) {
	answer := func(summary, greeting string, capabilities ...string) *probe.Answer {
		a := &probe.Answer{Summary: summary}
		a.Add("greeting", greeting)
		a.Add("capabilities", capabilities...)
		return a
	}
	const all = "a CAPABILITY|a2 LOGOUT"
	for _, tt := range []struct {
		server []string
		said   string
		want   *probe.Answer // nil: another protocol
	}{
		{[]string{"* OK [CAPABILITY IMAP4rev1 ID] ready.", "* CAPABILITY IMAP4rev1 STARTTLS", "a OK done", "* BYE", "a2 OK"}, all,
			answer("ready.", "* OK [CAPABILITY IMAP4rev1 ID] ready.", "IMAP4rev1", "STARTTLS")},
		{[]string{"* OK [CAPABILITY IMAP4rev1 ID] ready.", "a BAD"}, all, answer("ready.", "* OK [CAPABILITY IMAP4rev1 ID] ready.", "IMAP4rev1", "ID")},
		{[]string{"* ok Microsoft IMAP4", "* 3 EXISTS", "* capability X"}, "a CAPABILITY", answer("Microsoft IMAP4", "* ok Microsoft IMAP4", "X")},
		{[]string{"* PREAUTH hello [world]"}, "a CAPABILITY", answer("hello [world]", "* PREAUTH hello [world]")},
		{[]string{"* BYE full"}, "", answer("full", "* BYE full")},
		{[]string{"* OK"}, "a CAPABILITY", answer("", "* OK")},
		{[]string{"* NO"}, "", nil},
		{[]string{"OK"}, "", nil},
		{[]string{"+OK pop"}, "", nil},
		{nil, "", nil},
	} {
		a, said, err := play(tt.server...)
		if (err == nil) != (tt.want != nil) || said != tt.said {
			t.Errorf("%q: %v, said %q", tt.server, err, said)
		}
		if d := cmp.Diff(tt.want, a); d != "" {
			t.Errorf("%q: %s", tt.server, d)
		}
	}
}

func TestTooMany(t *testing.T) {
	_, said, err := play(append([]string{"* OK"}, strings.Split(strings.Repeat("* X\n", 1000), "\n")...)...)
	if err != nil || said != "a CAPABILITY" {
		t.Errorf("%v, said %q", err, said)
	}
}

// FuzzRun: whatever a server says, no login is tried, and each capability was
// among what it said.
func FuzzRun(f *testing.F) {
	f.Add("* OK [CAPABILITY A B] c\n* CAPABILITY D\na OK\n* BYE\na2 OK")
	f.Add("* BYE\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, said, err := play(strings.Split(text, "\n")...)
		if !strings.HasPrefix("a CAPABILITY|a2 LOGOUT", said) {
			t.Errorf("said %q", said)
		}
		if err != nil {
			return
		}
		for _, field := range a.Fields {
			for _, v := range field.Values {
				if !strings.Contains(text, v) {
					t.Errorf("%q has no %q", text, v)
				}
			}
		}
	})
}
