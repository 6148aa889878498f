package prlog

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portreporter/portreporter/internal/activity"
)

var addrs = cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})

// testStart is a local time whose fields show what is padded and what is not.
var testStart = time.Date(2026, 7, 6, 13, 4, 5, 600e6, time.UTC)

// testClock is a clock that stands still until it is set.
type testClock struct{ t time.Time }

func (c *testClock) now() time.Time { return c.t }

func testConfig(t testing.TB) (Config, *testClock) {
	c := &testClock{testStart}
	return Config{Dir: filepath.Join(t.TempDir(), "logs"), Host: "web1", OS: "Debian 12, Linux 6.1", Location: time.UTC, Now: c.now}, c
}

func newWriter(t testing.TB, cfg Config) *Writer {
	t.Helper()
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

var (
	sshd = &activity.Process{ID: 1, Key: activity.ProcessKey{PID: 811, Start: 5}, Name: "sshd", Exe: "/usr/sbin/sshd", User: "root",
		Unit: activity.Unit{Name: "ssh.service", Description: "OpenBSD Secure Shell server"}, Modules: 7}
	curl = &activity.Process{ID: 2, Key: activity.ProcessKey{PID: 2301, Start: 9}, Name: "curl", Exe: "/usr/bin/curl", UID: 1000,
		Unit: activity.Unit{Name: "session-3.scope"}, Modules: 8}
	modules = map[activity.ModuleSetID]*activity.ModuleSet{
		7: {ID: 7, Modules: []activity.Module{{Path: "/usr/lib/libc.so.6", Base: 0x7f0000401000}, {Path: "/usr/sbin/sshd", Base: 0x1000000}, {Path: "/usr/lib/libz.so.1", Base: 0x7f0000601000, Deleted: true}}},
		8: {ID: 8, Modules: []activity.Module{{Path: "/usr/bin/curl", Base: 0x55aa00000000}}},
	}
)

func moduleSet(id activity.ModuleSetID) *activity.ModuleSet { return modules[id] }

func tcp(p *activity.Process, state activity.State, local, remote string) activity.Socket {
	s := activity.Socket{Proto: activity.TCP, State: state, Local: netip.MustParseAddrPort(local), Process: p}
	if remote != "" {
		s.Remote = netip.MustParseAddrPort(remote)
	}
	if p != nil {
		s.Owner = p.Key
	}
	return s
}

func udp(p *activity.Process, local string) activity.Socket {
	s := tcp(p, activity.StateBound, local, "")
	s.Proto = activity.UDP
	return s
}

// opened is the event of a socket that has just opened.
func opened(kind activity.Kind, s activity.Socket, after time.Duration) *activity.Event {
	return &activity.Event{Kind: kind, Time: testStart.Add(after).UnixNano(), Proto: s.Proto, Local: s.Local, Remote: s.Remote, Owner: s.Owner, Process: s.Process}
}

// tableOf answers for the recorder's table.
func tableOf(all ...activity.Socket) func(uint32) []activity.Socket {
	return func(pid uint32) (socks []activity.Socket) {
		for _, s := range all {
			if s.Owner.PID == pid {
				socks = append(socks, s)
			}
		}
		return socks
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// suffixes lists the sets of a directory; each must be whole.
func suffixes(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	logs := map[string]int{}
	for _, e := range entries {
		_, suffix, ok := ParseName(e.Name())
		if !ok {
			t.Errorf("stray file %s", e.Name())
		}
		logs[suffix]++
	}
	var all []string
	for s, n := range logs {
		if n != 3 {
			t.Errorf("set %s has %d logs", s, n)
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// logText returns a log with the line ends of every system.
func logText(t testing.TB, dir string, l Log, suffix string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, l.String()+"-"+suffix+".log"))
	must(t, err)
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

func readPorts(t testing.TB, text string) []Record {
	t.Helper()
	var all []Record
	for r, err := range ReadPorts(strings.NewReader(text), ReadOptions{Location: time.UTC}) {
		must(t, err)
		all = append(all, r)
	}
	return all
}

func readPIDs(t testing.TB, text string) []*Section {
	t.Helper()
	var all []*Section
	for s, err := range ReadPIDs(strings.NewReader(text), ReadOptions{Location: time.UTC}) {
		must(t, err)
		all = append(all, s)
	}
	return all
}

// fullDisk is a disk with room for so many bytes in all files.
type fullDisk struct {
	room   int
	create bool // whether files can be made
}

var errFull = errors.New("no space left on device")

func (d *fullDisk) open(name string) (io.WriteCloser, error) {
	if !d.create {
		return nil, errFull
	}
	f, err := createFile(name)
	return &fullFile{f, d}, err
}

type fullFile struct {
	io.WriteCloser
	disk *fullDisk
}

func (f *fullFile) Write(b []byte) (int, error) {
	fits := min(len(b), f.disk.room)
	n, err := f.WriteCloser.Write(b[:fits])
	f.disk.room -= n
	if err == nil && fits < len(b) {
		err = errFull
	}
	return n, err
}
