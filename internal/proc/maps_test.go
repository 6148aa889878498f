package proc

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

const mapsSample = `55d0c0a00000-55d0c0a02000 r--p 00000000 fe:00 1234                       /usr/bin/with space
55d0c0a02000-55d0c0a06000 r-xp 00002000 fe:00 1234                       /usr/bin/with space
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                          [heap]
7f0000001000-7f0000002000 r-xp 00000000 00:01 99                         /memfd:jit (deleted)
7f0000100000-7f0000128000 r--p 00000000 103:100 77                       /usr/lib/libold.so (deleted)
7f0000128000-7f0000129000 r-xp 00028000 103:100 77                       /usr/lib/libold.so (deleted)
7f0000200000-7f0000201000 r--p 00000000 fe:00 55                         /usr/share/data
7f0000300000-7f0000301000 r-xp 00000000 fe:00 56                         /tmp/two\012lines
7f0000400000-7f0000401000 rwxp 00000000 00:00 0 
7ffff7fc9000-7ffff7fcd000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`

func TestParseMaps(t *testing.T) {
	got, err := parseMaps(strings.NewReader(mapsSample))
	if err != nil {
		t.Fatal(err)
	}
	mod := func(path string, base uint64, deleted bool, dev, inode uint64) Mapping {
		return Mapping{activity.Module{Path: path, Base: base, Deleted: deleted}, dev, inode}
	}
	want := []Mapping{
		mod("/usr/bin/with space", 0x55d0c0a00000, false, 0xfe00, 1234),
		mod("/memfd:jit", 0x7f0000001000, true, 1, 99),
		mod("/usr/lib/libold.so", 0x7f0000100000, true, 0x10000000|0x10300, 77),
		mod("/tmp/two\nlines", 0x7f0000300000, false, 0xfe00, 56),
	}
	// minor 0x100: its low byte is 0, the rest stands from bit 20 on
	want[2].Dev = 0x100<<12 | 0x103<<8
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParseMapsErrors(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty line", "\n", `parse maps: no range in ""`},
		{"no dash", "55d0 r-xp 0 fe:00 1 /x\n", `parse maps: no range in "55d0 r-xp 0 fe:00 1 /x"`},
		{"short protection", "1-2 rx 0 fe:00 1 /x\n", `parse maps: no protection in "1-2 rx 0 fe:00 1 /x"`},
		{"device", "1-2 r-xp 0 fe00 1 /x\n", `parse maps: no device in "1-2 r-xp 0 fe00 1 /x"`},
		{"inode", "1-2 r-xp 0 fe:00 x /x\n", `parse maps: no inode in "1-2 r-xp 0 fe:00 x /x"`},
		{"endless line", "1-2 r-xp 0 fe:00 1 /" + strings.Repeat("x", 2*maxMapsLine), "parse maps: bufio.Scanner: token too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseMaps(strings.NewReader(tt.in))
			if message(err) != tt.want || got != nil {
				t.Errorf("%v, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestParseMapsBound(t *testing.T) {
	var b strings.Builder
	for i := range maxModules + 1 {
		b.WriteString("1-2 r-xp 0 fe:00 1 /x")
		b.WriteString(strings.Repeat("y", i%100+1))
		b.WriteByte(byte('a' + i/100%26))
		b.WriteByte(byte('a' + i/2600))
		b.WriteByte('\n')
	}
	if _, err := parseMaps(strings.NewReader(b.String())); message(err) != "parse maps: more than 4096 modules" {
		t.Errorf("error %v", err)
	}
}

func FuzzParseMaps(f *testing.F) {
	f.Add([]byte(mapsSample))
	f.Add([]byte("1-2 r-xp 0 fe:00 1 /x (deleted)\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		mods, err := parseMaps(bytes.NewReader(b))
		if err != nil && mods != nil {
			t.Error("an error and modules")
		}
		for i, m := range mods {
			if m.Inode == 0 || i > 0 && m.Base < mods[i-1].Base {
				t.Errorf("module %d: %+v", i, m)
			}
		}
	})
}
