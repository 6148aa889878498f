package mongodb

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// doc makes a BSON document of elements.
func doc(elements ...string) string {
	body := strings.Join(elements, "") + "\x00"
	return string(binary.LittleEndian.AppendUint32(nil, uint32(4+len(body)))) + body
}

func TestMessage(t *testing.T) {
	b := message(7, "hello")
	n, err := length(append(append(append([]byte{}, b[:8]...), 7, 0, 0, 0), b[12:16]...), 7)
	if err != nil || n != len(b)-headSize {
		t.Fatalf("%d, %v", n, err)
	}
	fields, err := parse(b[headSize:])
	want := []field{{"hello", []string{"1"}}, {"$db", []string{"admin"}}}
	if d := cmp.Diff(want, fields, cmp.AllowUnexported(field{})); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	for name, head := range map[string]string{"nothing": "", "our own": string(b[:16]), "huge": "\xff\xff\xff\x7f\x00\x00\x00\x00\x07\x00\x00\x00\xdd\x07\x00\x00", "another operation": "\x40\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x01\x00\x00\x00"} {
		if n, err := length([]byte(head), 7); err == nil {
			t.Errorf("%s: %d", name, n)
		}
	}
}

// TestTypes reads each type of bsonspec.org that servers answer with.
func TestTypes(t *testing.T) {
	all := doc(
		"\x01a\x00\x00\x00\x00\x00\x00\x00\xf8\x3f", "\x02b\x00\x03\x00\x00\x00xy\x00", "\x03c\x00"+doc("\x08d\x00\x01"),
		"\x04e\x00"+doc("\x020\x00\x02\x00\x00\x00p\x00", "\x101\x00\xff\xff\xff\xff"), "\x05f\x00\x03\x00\x00\x00\x00abc", "\x07g\x00abcdefghijkl",
		"\x09h\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x0ai\x00", "\x11j\x00\x01\x00\x00\x00\x02\x00\x00\x00", "\x12k\x00\xfe\xff\xff\xff\xff\xff\xff\xff")
	fields, err := parse([]byte("\x00\x00\x00\x00\x00" + all))
	var got []string
	for _, f := range fields {
		got = append(got, f.name+"="+strings.Join(f.values, "|"))
	}
	want := "a=1.5 b=xy c.d=true e=p|-1 f=3 bytes g=6162636465666768696a6b6c h=1970-01-01T00:00:00Z i=null j=2.1 k=-2"
	if s := strings.Join(got, " "); s != want || err != nil {
		t.Errorf("%v\n%s\n%s", err, s, want)
	}
	if get(fields, "b") != "xy" || get(fields, "z") != "" {
		t.Error("get")
	}
	deep := "\x08x\x00\x01"
	for range 10 {
		deep = "\x03y\x00" + doc(deep)
	}
	for name, b := range map[string]string{"nothing": "", "another kind": "\x00\x00\x00\x00\x01" + doc(), "cut": "\x00\x00\x00\x00\x00" + all[:20], "unknown type": "\x00\x00\x00\x00\x00" + doc("\x20x\x00"),
		"too deep": "\x00\x00\x00\x00\x00" + doc(deep), "no end": "\x00\x00\x00\x00\x00\x07\x00\x00\x00\x08x\x00", "length 0": "\x00\x00\x00\x00\x00\x00\x00\x00\x00"} {
		if f, err := parse([]byte(b)); err == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// FuzzParse: no more is told than a few times what was received.
func FuzzParse(f *testing.F) {
	f.Add(message(7, "hello")[headSize:])
	f.Add([]byte("\x00\x00\x00\x00\x00" + doc("\x03c\x00"+doc("\x08d\x00\x01"), "\x04e\x00"+doc("\x020\x00\x02\x00\x00\x00p\x00"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		fields, err := parse(b)
		if err != nil {
			return
		}
		size := 0
		for _, fd := range fields {
			size += len(strings.Join(fd.values, ""))
		}
		if size > 32*len(b) {
			t.Errorf("%d bytes of values from %d", size, len(b))
		}
	})
}
