package reply

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lines gives the lines of a text, one a call.
func lines(text string) func() (string, error) {
	left := strings.Split(text, "\n")
	return func() (string, error) {
		if len(left) == 0 {
			return "", io.ErrUnexpectedEOF
		}
		l := left[0]
		left = left[1:]
		return l, nil
	}
}

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		in   string
		code int
		text []string
		bad  bool
	}{
		{in: "220 ready", code: 220, text: []string{"ready"}},
		{in: "220", code: 220},
		{in: "220 ", code: 220},
		{in: "250-mail\n250-SIZE 10\n250 HELP", code: 250, text: []string{"mail", "SIZE 10", "HELP"}},
		{in: "211-Features:\n EPRT\n 230 in the middle\n211 End", code: 211, text: []string{"Features:", "EPRT", "230 in the middle", "End"}},
		{in: "220-a\n220 b\n331 next", code: 220, text: []string{"a", "b"}},
		{in: "220-cut short", bad: true},
		{in: "", bad: true},
		{in: "22", bad: true},
		{in: "600 no such class", bad: true},
		{in: "2200 four digits", bad: true},
		{in: "SSH-2.0-OpenSSH", bad: true},
		{in: strings.Repeat("220-x\n", 1000), bad: true},
	} {
		r, err := Read(lines(tt.in))
		if (err != nil) != tt.bad || r.Code != tt.code {
			t.Errorf("%.40q: %d, %v", tt.in, r.Code, err)
		}
		if d := cmp.Diff(tt.text, r.Text()); d != "" {
			t.Errorf("%.40q: %s", tt.in, d)
		}
	}
}

// FuzzRead: what is read begins and ends with its code, and is no more than was
// there.
func FuzzRead(f *testing.F) {
	f.Add("220-a\n b\n220 c")
	f.Add("250 x")
	f.Fuzz(func(t *testing.T, in string) {
		r, err := Read(lines(in))
		if err != nil {
			return
		}
		code := strconv.Itoa(r.Code)
		last := r.Lines[len(r.Lines)-1]
		if r.Code < 100 || r.Code > 599 || !strings.HasPrefix(r.Lines[0], code) || !strings.HasPrefix(last, code) || strings.HasPrefix(last, code+"-") {
			t.Fatalf("%q reads as %+v", in, r)
		}
		if !strings.HasPrefix(in, strings.Join(r.Lines, "\n")) {
			t.Fatalf("%q has not the lines of %+v", in, r)
		}
	})
}

func TestGone(t *testing.T) {
	_, empty := Read(func() (string, error) { return "", fmt.Errorf("read: %w", io.EOF) })
	_, reset := Read(func() (string, error) { return "", &net.OpError{Op: "read", Err: errors.New("reset")} })
	_, other := Read(func() (string, error) { return "hello", nil })
	for err, want := range map[error]bool{empty: true, reset: true, other: false} {
		if Gone(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
