package quic

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQuestion(t *testing.T) {
	p, dst, src := question()
	if len(p) != 1200 || p[0] != 0xc0 || p[5] != 8 || string(p[6:14]) != string(dst) || p[14] != 8 || string(p[15:23]) != string(src) {
		t.Errorf("% x", p[:24])
	}
	if _, again, _ := question(); string(again) == string(dst) {
		t.Error("the same identifiers twice")
	}
}

// answer is a Version Negotiation packet to src from dst.
func answer(dst, src []byte, versions ...byte) []byte {
	b := append([]byte{0xf3, 0, 0, 0, 0, byte(len(src))}, src...)
	b = append(append(b, byte(len(dst))), dst...)
	return append(b, versions...)
}

func TestNegotiation(t *testing.T) {
	b := answer([]byte("server"), []byte("me"), 0, 0, 0, 1, 0xff, 0, 0, 29)
	dst, src, versions, err := negotiation(b)
	if d := cmp.Diff([]uint32{1, 0xff00001d}, versions); d != "" || string(dst) != "me" || string(src) != "server" || err != nil {
		t.Errorf("%q %q %v %v", dst, src, versions, err)
	}
	if !answers(b, []byte("server"), []byte("me")) || answers(b, []byte("server"), []byte("you")) || answers(b, []byte("other"), []byte("me")) {
		t.Error("whose answer it is")
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "short header": {0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, "a version": {0x80, 0, 0, 0, 1, 0, 0},
		"no version": b[:len(b)-8], "half a version": b[:len(b)-2], "identifier cut": {0x80, 0, 0, 0, 0, 200, 1},
	} {
		if _, _, v, err := negotiation(b); err == nil {
			t.Errorf("%s: %x", name, v)
		}
	}
}

func TestVersionName(t *testing.T) {
	for v, want := range map[uint32]string{1: "v1", 0x6b3343cf: "v2", 0x709a50c4: "v2", 0xff00001d: "draft-29", 0xfacefeed: "0xfacefeed", 0x51303530: "Google Q050", 0xdaeafa8a: ""} {
		if got := versionName(v); got != want {
			t.Errorf("%#x: %q, want %q", v, got, want)
		}
	}
}

// FuzzNegotiation: what was read, written again, is what was received.
func FuzzNegotiation(f *testing.F) {
	f.Add(answer([]byte("server"), []byte("me"), 0, 0, 0, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		dst, src, versions, err := negotiation(b)
		if err != nil {
			return
		}
		var vs []byte
		for _, v := range versions {
			vs = append(vs, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
		}
		if got := answer(src, dst, vs...); string(got[1:]) != string(b[1:]) {
			t.Errorf("% x from % x", got, b)
		}
	})
}
