package modbus

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequest(t *testing.T) {
	if n, err := length(request()[:headSize]); n != 4 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, b := range []string{"", "\x50\x52\x00\x00\x00\x02\x01", "\x50\x52\x00\x01\x00\x05\x01", "\x50\x52\x00\x00\x01\x00\x01", "\x00\x01\x00\x00\x00\x05\x01", "220 mai"} {
		if n, err := length([]byte(b)); err == nil {
			t.Errorf("%q: %d", b, n)
		}
	}
}

func TestParse(t *testing.T) {
	got, _, err := parse([]byte("\x2b\x0e\x01\x01\x00\x00\x02\x00\x02ab\x09\x00"))
	if d := cmp.Diff([]object{{"VendorName", "ab"}, {"object9", ""}}, got, cmp.AllowUnexported(object{})); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if _, code, err := parse([]byte("\xab\x01")); code != 1 || err != nil || exceptionName(code) != "ILLEGAL FUNCTION" || exceptionName(99) != "exception 99" {
		t.Errorf("exception %d, %v", code, err)
	}
	for _, b := range []string{"", "\x2b", "\xab", "\xab\x00", "\x2b\x0d\x01\x01\x00\x00\x00", "\x2b\x0e\x01\x01\x00\x00\x02\x00\x02ab", "\x03\x02\x00\x00"} {
		if o, code, err := parse([]byte(b)); err == nil {
			t.Errorf("%q: %v %d", b, o, code)
		}
	}
}

// FuzzParse: objects take two bytes each and their values.
func FuzzParse(f *testing.F) {
	f.Add([]byte("\x2b\x0e\x01\x01\x00\x00\x02\x00\x02ab\x09\x00"))
	f.Add([]byte("\xab\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		objects, code, err := parse(b)
		size := 0
		for _, o := range objects {
			size += 2 + len(o.value)
		}
		if err == nil && size > len(b) || err == nil && code != 0 && objects != nil {
			t.Errorf("%v, exception %d", objects, code)
		}
	})
}
