package coap

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const tok = "abcd"

func TestRequest(t *testing.T) {
	if got, want := string(request(0x1234, []byte(tok))), "\x44\x01\x12\x34abcd\xbb.well-known\x04core\xc1\x04"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, b string
		want    message
		wrong   bool
	}{
		{"content", "\x64\x45\x12\x34abcd\xc1\x28\xb1\x0c\x52\x01\x00\xff</>", message{kind: typeAck, code: 0x45, id: 0x1234, format: 40, more: true, size: 256, payload: []byte("</>")}, false},
		{"a separate answer", "\x44\x84\x99\x99abcd", message{kind: typeCon, code: 0x84, id: 0x9999, format: noFormat}, false},
		{"reset", "\x70\x00\x12\x34", message{kind: typeRst, id: 0x1234, format: noFormat}, false},
		{"another's reset", "\x70\x00\x12\x35", message{}, true},
		{"another token", "\x64\x45\x12\x34abce", message{}, true},
		{"another id", "\x64\x45\x12\x35abcd", message{}, true},
		{"a request", "\x44\x01\x12\x34abcd", message{}, true},
		{"another version", "\xa4\x45\x12\x34abcd", message{}, true},
		{"token too long", "\x69\x45\x12\x34abcdefghi", message{}, true},
		{"nothing", "", message{}, true},
	} {
		got, err := parse([]byte(tt.b), 0x1234, []byte(tok))
		if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(message{})); d != "" || (err != nil) != tt.wrong {
			t.Errorf("%s: %v %s", tt.name, err, d)
		}
	}
	for name, options := range map[string]string{"option cut": "\xc2\x28", "reserved": "\xf1\x00", "marker alone": "\xc1\x28\xff", "extended cut": "\xe1\x00"} {
		if _, err := parse([]byte("\x64\x45\x12\x34abcd"+options), 0x1234, []byte(tok)); err == nil {
			t.Errorf("%s is understood", name)
		}
	}
	long := "\x64\x45\x12\x34abcd\xdd\x05\x01" + strings.Repeat("x", 14) + "\xe0\x00\x01"
	if _, err := parse([]byte(long), 0x1234, []byte(tok)); err != nil {
		t.Errorf("extended options: %v", err)
	}
}

func TestLinks(t *testing.T) {
	for _, tt := range []struct {
		text string
		more bool
		want string
	}{
		{`</>;title="a, b",</time>;ct=0`, false, `</>;title="a, b"|</time>;ct=0`},
		{`</a>,</b`, true, `</a>`},
		{``, false, ``},
		{`"`, false, `"`},
	} {
		if got := strings.Join(links(tt.text, tt.more), "|"); got != tt.want {
			t.Errorf("%q: %q", tt.text, got)
		}
	}
	if codeName(0x45) != "2.05 Content" || codeName(0x84) != "4.04 Not Found" || codeName(0x5f) != "2.31" {
		t.Error("names of codes")
	}
}

// FuzzParse: the payload is the message's end, and links joined again are it.
func FuzzParse(f *testing.F) {
	f.Add([]byte("\x64\x45\x12\x34abcd\xc1\x28\xb1\x0c\x52\x01\x00\xff</>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b, 0x1234, []byte(tok))
		if err == nil && !strings.HasSuffix(string(b), string(m.payload)) {
			t.Errorf("payload %q", m.payload)
		}
		text := string(b)
		if got := strings.Join(links(text, false), ","); got != text && got+"," != text {
			t.Errorf("%q from %q", got, text)
		}
	})
}
