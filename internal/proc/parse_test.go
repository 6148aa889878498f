package proc

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

// statTail is /proc/PID/stat after the command name: parent 811, start 80261
// ticks, code at 0x1000, stack at 0x2000, arguments at 0x3000.
const statTail = " S 811 9516 6194 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 80261 3133440 414 18446744073709551615 " +
	"4096 94349185924521 8192 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 1 2 3 12288 4 5 6 0\n"

func TestParseStat(t *testing.T) {
	want := func(comm string) stat {
		return stat{comm: comm, state: 'S', ppid: 811, start: 802610000000, image: image{comm, 4096, 8192, 12288}}
	}
	kthread := want("kworker/u4:1-ev")
	kthread.kernel, kthread.image = true, image{comm: "kworker/u4:1-ev"}
	tests := []struct {
		name, in string
		want     stat
		err      string
	}{
		{"plain", "42 (nginx)" + statTail, want("nginx"), ""},
		{"name like a tail", "42 (x) S 1 (y)" + statTail, want("x) S 1 (y"), ""},
		{"name with newline", "42 (a\nb c)" + statTail, want("a\nb c"), ""},
		{"empty name", "42 ()" + statTail, want(""), ""},
		{"kernel worker", "42 (kworker/u4:1-events_unbound) S 811 0 0 0 -1 2097152 0 0 0 0 0 0 0 0 20 0 1 0 80261 0", kthread, ""},
		{"no name", "42 nginx S 1", stat{}, `parse stat: no command name in "42 nginx S 1"`},
		{"reversed", ")42(", stat{}, `parse stat: no command name in ")42("`},
		{"short", "42 (nginx) S 1 2 3", stat{}, `parse stat: 4 fields in "42 (nginx) S 1 2 3"`},
		{"empty", "", stat{}, `parse stat: no command name in ""`},
		{"absurd start", strings.Replace("42 (n)"+statTail, "80261", "18446744073709551615", 1), stat{},
			"parse stat: start 18446744073709551615 out of range"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseStat([]byte(tt.in))
			if msg := message(err); msg != tt.err {
				t.Fatalf("error %q, want %q", msg, tt.err)
			}
			if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(stat{}, image{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (nginx)" + statTail))
	f.Add([]byte("1 (a) b) R 1 2"))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := parseStat(b)
		if err != nil && st != (stat{}) {
			t.Errorf("an error and %+v", st)
		}
		if len(st.comm) > maxComm || st.start%Tick != 0 {
			t.Errorf("out of bounds: %+v", st)
		}
	})
}

func TestParseStatus(t *testing.T) {
	const real = "Name:\tsudo\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t42\nNgid:\t0\nPid:\t42\nPPid:\t1\n" +
		"Uid:\t1000\t0\t0\t0\nGid:\t100\t0\t0\t0\nFDSize:\t64\n"
	unset := status{uid: activity.NoID, euid: activity.NoID, gid: activity.NoID}
	tests := []struct {
		name, in string
		want     status
	}{
		{"setuid program", real, status{tgid: 42, uid: 1000, euid: 0, gid: 100}},
		{"name with Uid", strings.Replace(real, "sudo", `x\nUid:\t0`, 1), status{tgid: 42, uid: 1000, euid: 0, gid: 100}},
		{"empty", "", unset},
		{"junk", "Uid:\tx\ty\nGid\nTgid:\n:\n\n", unset},
		{"overflow", "Uid:\t4294967296\t4294967295\n", unset},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, parseStatus([]byte(tt.in)), cmp.AllowUnexported(status{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("Name:\tx\nTgid:\t1\nUid:\t1\t2\t3\t4\nGid:\t5\n"))
	f.Fuzz(func(t *testing.T, b []byte) { parseStatus(b) })
}

func TestParseArgs(t *testing.T) {
	many := strings.Repeat("\x00", 2*maxArgCount) + "x\x00"
	tests := []struct {
		name, in  string
		more      bool
		want      []string
		truncated bool
	}{
		{"kernel thread", "", false, nil, false},
		{"plain", "ls\x00-l\x00", false, []string{"ls", "-l"}, false},
		{"empty arguments", "p\x00\x00q\x00\x00", false, []string{"p", "", "q", ""}, false},
		{"one empty argument", "p\x00\x00", false, []string{"p", ""}, false},
		{"title without NUL", "sshd: root@pts/0", false, []string{"sshd: root@pts/0"}, false},
		{"title with padding", "nginx: worker process\x00\x00\x00\x00\x00", false, []string{"nginx: worker process"}, false},
		{"three empty at the end", "p\x00q\x00\x00\x00\x00", false, []string{"p", "q", "", "", ""}, false},
		{"overwritten", "sshd:\x00[rexeced]" + strings.Repeat("\x00", 70), false, []string{"sshd:", "[rexeced]"}, false},
		{"overwritten and cut", "sshd:\x00[rexeced]" + strings.Repeat("\x00", 70), true, []string{"sshd:", "[rexeced]"}, true},
		{"escapes kept", "p\x00\x1b[31m\nx\x00", false, []string{"p", "\x1b[31m\nx"}, false},
		{"cut by the bound", "p\x00abc", true, []string{"p", "abc"}, true},
		{"cut at a NUL", "p\x00abc\x00", true, []string{"p", "abc", ""}, true},
		{"only NUL", "\x00", false, []string{""}, false},
		{"too many", many, false, make([]string, maxArgCount), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, truncated := parseArgs([]byte(tt.in), tt.more)
			if d := cmp.Diff(tt.want, got); d != "" || truncated != tt.truncated {
				t.Errorf("truncated %v, want %v\n%s", truncated, tt.truncated, d)
			}
		})
	}
}

func FuzzParseArgs(f *testing.F) {
	f.Add([]byte("ls\x00-l\x00"), false)
	f.Add([]byte("nginx: worker\x00\x00\x00"), true)
	f.Fuzz(func(t *testing.T, b []byte, more bool) {
		args, truncated := parseArgs(b, more)
		if len(args) > maxArgCount {
			t.Fatalf("%d arguments", len(args))
		}
		joined := strings.Join(args, "\x00")
		if !strings.HasPrefix(string(b), joined) {
			t.Errorf("%q is not the beginning of %q", joined, b)
		}
		if rest := b[len(joined):]; !truncated && len(bytes.Trim(rest, "\x00")) > 0 {
			t.Errorf("%q left out and not said", rest)
		}
	})
}

func TestParseCgroup(t *testing.T) {
	const sys = "/system.slice/ssh.service"
	tests := []struct {
		name, in string
		want     cgroupPaths
	}{
		{"v2", "0::" + sys + "\n", cgroupPaths{sys, sys}},
		{"v2 root", "0::/\n", cgroupPaths{"/", "/"}},
		{"hybrid", "4:memory:/a\n1:name=systemd:" + sys + "\n0::" + sys + "\n", cgroupPaths{sys, sys}},
		{"hybrid, docker outside v2", "3:name=systemd:/docker/ab\n2:cpu,cpuacct:/docker/ab\n0::/system.slice/docker.service\n",
			cgroupPaths{"/system.slice/docker.service", "/docker/ab"}},
		{"v1 without systemd", "9:name=systemd:/\n4:memory:/box/1\n1:cpu:/other\n0::/\n", cgroupPaths{"/", "/box/1"}},
		{"v1 only", "2:cpu:/x\n", cgroupPaths{"", "/x"}},
		{"foreign namespace", "0::/../../system.slice/a.service\n", cgroupPaths{"/../../system.slice/a.service", "/../../system.slice/a.service"}},
		{"colon in path", "0::/a:b\n", cgroupPaths{"/a:b", "/a:b"}},
		{"junk", "x\n0:\n::\n0::rel\n", cgroupPaths{}},
		{"empty", "", cgroupPaths{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, parseCgroup([]byte(tt.in)), cmp.AllowUnexported(cgroupPaths{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func FuzzParseCgroup(f *testing.F) {
	f.Add([]byte("4:memory:/a\n1:name=systemd:/b\n0::/c\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := parseCgroup(b)
		for _, p := range []string{c.v2, c.best} {
			if p != "" && (p[0] != '/' || strings.Contains(p, "\n") || !bytes.Contains(b, []byte(p))) {
				t.Errorf("path %q", p)
			}
		}
	})
}

func TestParseNS(t *testing.T) {
	for in, want := range map[string]uint32{
		"net:[4026531833]": 4026531833, "mnt:[1]": 0, "net:[]": 0, "net:[x]": 0, "net:[99999999999]": 0, "": 0,
	} {
		if got := parseNS(in, "net"); got != want {
			t.Errorf("parseNS(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestSameStart(t *testing.T) {
	tests := []struct {
		a, b uint64
		want bool
	}{
		{802610000000, 802610000000, true},
		{802610000000, 802617654321, true},
		{802619999999, 802610000000, true},
		{802620000000, 802619999999, false},
		{802617654321, 802617654321, true},
		{802617654321, 802617654322, false}, // both fine: the tick does not excuse
		{0, 0, false},
		{0, 5, false},
	}
	for _, tt := range tests {
		if got := SameStart(tt.a, tt.b); got != tt.want {
			t.Errorf("SameStart(%d, %d) = %v", tt.a, tt.b, got)
		}
	}
}

func TestClockRoundTrip(t *testing.T) {
	c := Clock{offset: 1_700_000_000_000_000_000}
	if got := c.Wall(5); got != 1_700_000_000_000_000_005 {
		t.Errorf("Wall(5) = %d", got)
	}
	if got := c.Boot(c.Wall(77)); got != 77 {
		t.Errorf("Boot(Wall(77)) = %d", got)
	}
	if got := c.Boot(5); got != 0 {
		t.Errorf("before the boot: %d", got)
	}
	if got := c.BootTime(); got != c.Wall(0) {
		t.Errorf("BootTime = %d", got)
	}
}
