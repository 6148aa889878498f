package pop3

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
	for _, tt := range []struct {
		server []string
		said   string
		want   *probe.Answer // nil: another protocol
	}{
		{[]string{"+OK POP3 ready <1896.697170952@mail.example>", "+OK list", "TOP", "SASL PLAIN", ".", "+OK bye"}, "CAPA|QUIT",
			&probe.Answer{Summary: "POP3 ready <1896.697170952@mail.example>", Fields: []probe.Field{
				{Name: "greeting", Values: []string{"+OK POP3 ready <1896.697170952@mail.example>"}},
				{Name: "apop", Values: []string{"<1896.697170952@mail.example>"}},
				{Name: "capabilities", Values: []string{"TOP", "SASL PLAIN"}}}}},
		{[]string{"+OK", "-ERR what", "+OK bye"}, "CAPA|QUIT", &probe.Answer{Fields: []probe.Field{{Name: "greeting", Values: []string{"+OK"}}}}},
		{[]string{"+OK <not a stamp>"}, "CAPA", &probe.Answer{Summary: "<not a stamp>", Fields: []probe.Field{{Name: "greeting", Values: []string{"+OK <not a stamp>"}}}}},
		{[]string{"-ERR too many"}, "", &probe.Answer{Summary: "too many", Fields: []probe.Field{{Name: "greeting", Values: []string{"-ERR too many"}}}}},
		{[]string{"+OK a", "+OK", "TOP"}, "CAPA", &probe.Answer{Summary: "a", Fields: []probe.Field{{Name: "greeting", Values: []string{"+OK a"}}, {Name: "capabilities", Values: []string{"TOP"}}}}},
		{[]string{"+OKAY"}, "", nil},
		{[]string{"* OK imap"}, "", nil},
		{[]string{"220 mail"}, "", nil},
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
	a, said, err := play(append([]string{"+OK", "+OK"}, strings.Split(strings.Repeat("X\n", 1000), "\n")...)...)
	if err != nil || said != "CAPA" || len(a.Fields[1].Values) != maxLines {
		t.Errorf("%v, said %q, %d", err, said, len(a.Fields[1].Values))
	}
}

// FuzzRun: whatever a server says, no user is named, and no answer holds more
// than was said.
func FuzzRun(f *testing.F) {
	f.Add("+OK a <1@b>\n+OK\nX\n.\n+OK")
	f.Add("-ERR\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, said, err := play(strings.Split(text, "\n")...)
		if !strings.HasPrefix("CAPA|QUIT", said) {
			t.Errorf("said %q", said)
		}
		if err != nil {
			return
		}
		for _, field := range a.Fields {
			if !strings.Contains(text, strings.Join(field.Values, "\n")) {
				t.Errorf("%q has no %+v", text, field)
			}
		}
	})
}
