package kafka

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequest(t *testing.T) {
	if got, want := string(versionsRequest(1)), "\x00\x00\x00\x16\x00\x12\x00\x00\x00\x00\x00\x01\x00\x0cportreporter"; got != want {
		t.Errorf("%q", got)
	}
	if got, want := string(metadataRequest(2)), "\x00\x00\x00\x1a\x00\x03\x00\x01\x00\x00\x00\x02\x00\x0cportreporter\x00\x00\x00\x00"; got != want {
		t.Errorf("%q", got)
	}
}

func TestParseVersions(t *testing.T) {
	got, err := parseVersions([]byte("\x00\x00\x00\x01\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x09\x00\x12\x00\x00\x00\x03"), 1)
	if d := cmp.Diff([]api{{0, 0, 9}, {18, 0, 3}}, got, cmp.AllowUnexported(api{})); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	for name, b := range map[string]string{
		"nothing": "", "another's": "\x00\x00\x00\x02\x00\x00\x00\x00\x00\x01\x00\x12\x00\x00\x00\x03", "an error": "\x00\x00\x00\x01\x00\x23\x00\x00\x00\x01\x00\x12\x00\x00\x00\x03",
		"none": "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00", "more than there are": "\x00\x00\x00\x01\x00\x00\x7f\xff\xff\xff\x00\x12\x00\x00\x00\x03", "versions backwards": "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x00\x12\x00\x03\x00\x00",
	} {
		if got, err := parseVersions([]byte(b), 1); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestParseMetadata(t *testing.T) {
	got, err := parseMetadata([]byte("\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x02k1\x00\x00\x23\x84\xff\xff\x00\x00\x00\x02\x00\x02::\x00\x00\x23\x85\x00\x01r\x00\x00\x00\x01\x00\x00\x00\x00"), 2)
	want := cluster{[]string{"1 at k1:9092", "2 at [::]:9093, rack r"}, 1}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(cluster{})); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	for _, b := range []string{"", "\x00\x00\x00\x03", "\x00\x00\x00\x02\x7f\xff\xff\xff", "\x00\x00\x00\x02\x00\x00\x00\x00"} {
		if got, err := parseMetadata([]byte(b), 2); err == nil {
			t.Errorf("%q: %+v", b, got)
		}
	}
}

func TestLength(t *testing.T) {
	for b, want := range map[string]int{"\x00\x00\x00\x06": 6, "\x00\x00\x00\x05": 0, "\x00\x01\x00\x00": 0, "\xff\xff\xff\xff": 0, "220 ": 0, "": 0} {
		if n, err := length([]byte(b)); n != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", b, n, err)
		}
	}
}

// FuzzParse: versions take six bytes each, brokers twelve at least.
func FuzzParse(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x09\x00\x12\x00\x00\x00\x03"))
	f.Add([]byte("\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x02k1\x00\x00\x23\x84\xff\xff\x00\x00\x00\x01\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if apis, err := parseVersions(b, 1); err == nil && 10+6*len(apis) != len(b) {
			t.Errorf("%d versions in %d bytes", len(apis), len(b))
		}
		if c, err := parseMetadata(b, 1); err == nil && 12*len(c.brokers) > len(b) {
			t.Errorf("%d brokers in %d bytes", len(c.brokers), len(b))
		}
	})
}
