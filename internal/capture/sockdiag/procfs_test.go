package sockdiag

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

const statRest = " S 812 4711 4711 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 1000 10 18446744073709551615 1 1 0 0 0\n"

func TestParseStat(t *testing.T) {
	for _, test := range []struct{ text, name string }{
		{"4711 (sshd)" + statRest, "sshd"},
		{"4711 (a) S 1 (b)" + statRest, "a) S 1 (b"},
		{"4711 ()" + statRest, ""},
	} {
		got, err := parseStat([]byte(test.text))
		want := stat{name: test.name, ppid: 812, start: 123456 * 10_000_000}
		if err != nil || got != want {
			t.Errorf("%q = %+v, %v, want %+v", test.text, got, err, want)
		}
	}
	for _, bad := range []string{"", "4711 sshd S 1", ")(", "4711 (x) S 1 2", "4711 (x) S -" + statRest} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q = %+v, want an error", bad, got)
		}
	}
}

func TestParseStatus(t *testing.T) {
	got := parseStatus([]byte("Name:\tsu\nUid:\t1000\t0\t0\t0\nGid:\t100\t100\t100\t100\nGroups:\t\n"))
	if want := (ids{1000, 0, 100}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	none := ids{activity.NoID, activity.NoID, activity.NoID}
	for _, text := range []string{"", "Uid:\tx\ty\n", "Uid:\nGid:"} {
		if got := parseStatus([]byte(text)); got != none {
			t.Errorf("%q: %+v, want nothing known", text, got)
		}
	}
}

func TestParseCgroup(t *testing.T) {
	for text, want := range map[string]string{
		"0::/system.slice/ssh.service\n":                               "/system.slice/ssh.service",
		"12:cpu:/x\n1:name=systemd:/system.slice/cron.service\n0::/\n": "/system.slice/cron.service",
		"1:name=systemd:/init.scope\n0::/user.slice/a:b\n":             "/user.slice/a:b",
		"nonsense\n": "",
		"0::/":       "/",
	} {
		if got := parseCgroup([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestParseArgs(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                  nil,
		"nginx: worker process\x00\x00\x00": {"nginx: worker process"},
		"sh\x00-c\x00\x00x\x00":             {"sh", "-c", "", "x"},
	} {
		if d := cmp.Diff(want, parseArgs([]byte(text))); d != "" {
			t.Errorf("%q (-want +got):\n%s", text, d)
		}
	}
}

func TestParseLink(t *testing.T) {
	for _, test := range []struct {
		text, prefix string
		n            uint64
		ok           bool
	}{
		{"socket:[4711]", "socket:[", 4711, true},
		{"net:[4026531840]", "net:[", 4026531840, true},
		{"pipe:[4711]", "socket:[", 0, false},
		{"socket:[]", "socket:[", 0, false},
		{"socket:[12", "socket:[", 0, false},
		{"socket:[1x]", "socket:[", 0, false},
		{"socket:[99999999999999999999]", "socket:[", 0, false},
		{"/dev/null", "socket:[", 0, false},
	} {
		if n, ok := parseLink([]byte(test.text), test.prefix); n != test.n || ok != test.ok {
			t.Errorf("%q = %d, %v, want %d, %v", test.text, n, ok, test.n, test.ok)
		}
	}
}

func dirent(name string) []byte {
	size := (direntHeader + len(name) + 1 + 7) &^ 7
	b := make([]byte, size)
	binary.NativeEndian.PutUint16(b[16:], uint16(size))
	copy(b[direntHeader:], name)
	return b
}

func TestNextNumber(t *testing.T) {
	var b []byte
	for _, name := range []string{".", "..", "1", "self", "4294967295", "4294967296", "812"} {
		b = append(b, dirent(name)...)
	}
	var got []uint32
	for {
		n, name, rest, ok := nextNumber(b)
		if !ok {
			break
		}
		if name[len(name)-1] != 0 {
			t.Errorf("%q does not end with a zero byte", name)
		}
		got, b = append(got, n), rest
	}
	if d := cmp.Diff([]uint32{1, 4294967295, 812}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func FuzzProcFiles(f *testing.F) {
	f.Add([]byte("4711 (sshd)" + statRest))
	f.Add([]byte("Uid:\t1000\t0\t0\t0\n"))
	f.Add([]byte("0::/system.slice/ssh.service\n"))
	f.Add(append(dirent("12"), dirent("x")...))
	f.Add([]byte("socket:[12]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = parseStat(b)
		_ = parseStatus(b)
		_ = parseCgroup(b)
		_ = parseArgs(b)
		_, _ = parseLink(b, "socket:[")
		for rest, ok := b, true; ok; {
			before := len(rest)
			if _, _, rest, ok = nextNumber(rest); ok && len(rest) >= before {
				t.Fatal("no progress")
			}
		}
	})
}
