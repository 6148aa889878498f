package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

// TestKilled kills the recorder at random instants under load, again and again,
// and starts it anew on the same record. What a follower was given is on
// record, for it was in the kernel's hands first; the record is whole, and it
// tells of each interruption.
func TestKilled(t *testing.T) {
	rounds := 50
	if testing.Short() {
		rounds = 5
	}
	testutil.Root(t, "recording every process's ports")
	endless(t)
	for i := range 2 { // starting is work for one processor only
		t.Run("record "+strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			killed(t, rounds)
		})
	}
}

func killed(t *testing.T, rounds int) {
	r := prepareRecorder(t)
	followed := map[string]int{} // what the follower was given, and in which round
	var kills []time.Time
	for i := range rounds {
		if i%10 == 4 { // at any instant of the start, too: nothing can follow yet
			r.launch()
			time.Sleep(rand.N(time.Second))
			r.kill()
		}
		r.start()
		f := r.follow()
		time.Sleep(rand.N(200 * time.Millisecond)) // the random instant
		r.kill()
		kills = append(kills, time.Now())
		for _, id := range f.end() {
			followed[id] = i
		}
	}
	r.start()
	r.stop()
	t.Logf("%d events were followed", len(followed))
	if len(followed) < 100*rounds {
		t.Errorf("only %d events were followed in %d rounds: that is no load", len(followed), rounds)
	}
	r.wantRecorded(followed)
	r.wantCrashes(kills)
	r.wantWhole()
}

// endless makes connections until the test ends.
func endless(t *testing.T) {
	t.Helper()
	c := exec.Command(testutil.Build(t, "./internal/testutil/cmd/portgen"), "-here", "-stats", "-rate", "500", "tcp", "100000000")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its server is another process
	if err := testutil.NewNetNS(t).Start(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		_ = c.Wait()
	})
}

// kill ends the recorder as a crash does.
func (r *recorderUnderTest) kill() {
	r.t.Helper()
	cmd := r.cmd
	r.cmd = nil
	if err := cmd.Process.Kill(); err != nil {
		r.t.Errorf("kill the recorder: %v", err)
	}
	<-r.drained
	_ = cmd.Wait()
}

// follower is a running `portreporter events --follow`.
type follower struct {
	r   *recorderUnderTest
	cmd *exec.Cmd
	ids chan []string
}

// follow starts a follower and waits for its first event.
func (r *recorderUnderTest) follow() *follower {
	r.t.Helper()
	f := &follower{r: r, ids: make(chan []string, 1),
		cmd: exec.Command(r.bin, "events", "--follow", "--json", "--control-path", r.control)}
	pipe, err := f.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	first := make(chan struct{})
	go func() {
		var ids []string
		sc := bufio.NewScanner(pipe)
		for sc.Buffer(nil, 1<<20); sc.Scan(); {
			if id := eventID(sc.Bytes()); id != "" {
				ids = append(ids, id)
			}
			if len(ids) == 1 {
				close(first)
			}
		}
		f.ids <- ids
	}()
	select {
	case <-first:
	case <-time.After(giveUp):
		r.t.Fatal("the follower is given nothing")
	}
	return f
}

// end waits for the end of the follower, which ends with the recorder.
func (f *follower) end() []string {
	f.r.t.Helper()
	select {
	case ids := <-f.ids:
		_ = f.cmd.Wait()
		return ids
	case <-time.After(giveUp):
		_ = f.cmd.Process.Kill()
		f.r.t.Fatal("the follower does not end with the recorder")
		return nil
	}
}

// eventID names an event. It is empty for half a line, which a follower may
// leave when it ends, and for the gap that says that this follower was slow:
// that is not on record.
func eventID(line []byte) string {
	var e struct {
		Time, Kind  string
		Seq, Socket uint64
	}
	if json.Unmarshal(line, &e) != nil || e.Kind == activity.KindGap.String() && e.Seq == 0 {
		return ""
	}
	return fmt.Sprint(e.Time, " ", e.Seq, " ", e.Socket, " ", e.Kind)
}

// wantRecorded wants all that was followed on record, in one piece.
func (r *recorderUnderTest) wantRecorded(followed map[string]int) {
	r.t.Helper()
	sc := bufio.NewScanner(r.events()) // fails if a part cannot be read
	n := 0
	for sc.Buffer(nil, 1<<20); sc.Scan(); n++ {
		delete(followed, eventID(sc.Bytes()))
	}
	r.t.Logf("%d events are on record", n)
	if len(followed) == 0 {
		return
	}
	examples := 0
	for id, round := range followed {
		if examples++; examples <= 10 {
			r.t.Logf("not on record: %s, followed in round %d", id, round)
		}
	}
	r.t.Errorf("%d events that were followed are not on record", len(followed))
}

// wantCrashes wants the record to tell of an interruption at each of the times:
// the recorder did not run just then.
func (r *recorderUnderTest) wantCrashes(at []time.Time) {
	r.t.Helper()
	for i, at := range at {
		out, status := r.try("events", "--require-complete", "--last", "0", "--dir", r.dir,
			"since:"+at.UTC().Format(time.RFC3339Nano), "until:"+at.Add(time.Millisecond).UTC().Format(time.RFC3339Nano))
		if status != 3 || !strings.Contains(out, "the record has a gap") {
			r.t.Errorf("kill %d at %v: exit status %d, %q", i, at, status, out)
		}
	}
}

// wantWhole wants nothing wrong with the record: a crash leaves a torn end of
// the live log, which the next start cuts, and nothing else.
func (r *recorderUnderTest) wantWhole() {
	r.t.Helper()
	if out, status := r.try("verify", "--dir", r.dir); status != 0 {
		r.t.Errorf("verify: exit status %d\n%s", status, out)
	}
}

// try runs another command of the same program, which may fail.
func (r *recorderUnderTest) try(args ...string) (output string, status int) {
	r.t.Helper()
	out, err := exec.Command(r.bin, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	if exit != nil {
		status = exit.ExitCode()
	}
	return string(out), status
}

// TestFullDisk fills the disk under the record, and gives it free again. The
// recorder goes on meanwhile, keeps what fits in memory, and declares the rest.
func TestFullDisk(t *testing.T) {
	for _, args := range [][]string{{"tcp", "20000"}, {"udp", "10000"}} {
		t.Run(args[0], func(t *testing.T) {
			r := prepareRecorder(t)
			disk := smallDisk(t, 64<<20)
			r.dir = filepath.Join(disk, "record")
			r.start()
			before := generate(t, "-ipv6", "tcp", "500") // other addresses: namespaces' numbers are used again
			r.settled(before)
			filler := fill(t, disk)
			during := generate(t, args...)
			r.settled(during)
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the recorder says that it writes again", func() bool {
				n, _ := r.said.count("the journal can be written again")
				return n > 0
			})
			after := generate(t, "-ipv6", "tcp", "500")
			r.settled(after)
			r.stop()

			wantAll(t, r.verify(before), closesInferred)
			wantAll(t, r.verify(after), closesInferred)
			rep, foreign := r.account(during)
			wantDeclared(t, rep, foreign)
			if rep.Lost[activity.KindClose]+rep.Lost[activity.KindUnbind] == 0 {
				t.Errorf("nothing was lost: the disk was not full\n%s", rep)
			}
			if n, _ := r.said.count("level=ERROR msg=journal"); n != 1 {
				t.Errorf("%d complaints about one full disk:\n%s", n, r.said)
			}
			r.wantWhole()
		})
	}
}

// smallDisk mounts a small file system for as long as the test runs, where
// nobody else sees it, and returns a path to it that is good for all processes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	c := exec.Command("sh", "-c", `mount -t tmpfs -o size="$1" tmpfs "$2" && echo mounted && read -r _`, "sh", strconv.Itoa(size), t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // makes all mounts private, too
	in, _ := c.StdinPipe()
	out, _ := c.StdoutPipe()
	var stderr bytes.Buffer
	c.Stderr = &stderr
	err := c.Start()
	if err == nil {
		defer func() { in.Close(); _ = c.Wait() }()
		if said, _ := bufio.NewReader(out).ReadString('\n'); said != "mounted\n" {
			err = fmt.Errorf("mount: %s", &stderr)
		}
	}
	testutil.Skip(t, testutil.Need{What: "a mount of its own", Linux: true, Root: true}, err)
	// An open file keeps it, when the namespace has gone.
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(c.Process.Pid), "root", c.Args[len(c.Args)-1]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd())
}

// fill writes until the disk is full, and returns the file that fills it.
func fill(t *testing.T, disk string) string {
	t.Helper()
	name := filepath.Join(disk, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err = f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
	return name
}

// TestCannotStart wants one clear line when the recorder cannot have its record.
func TestCannotStart(t *testing.T) {
	r := startRecorder(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, dir, want string }{
		{"another records there", r.dir, strconv.Itoa(r.cmd.Process.Pid)},
		{"a file is in the way", filepath.Join(file, "record"), file},
		{"nobody may write there", "/proc/record", "/proc/record"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, status := r.try("record", "--dir", c.dir, "--control-path", filepath.Join(t.TempDir(), "control.sock"))
			if status != 1 || !strings.Contains(out, c.want) {
				t.Errorf("exit status %d, want 1; said %q, want %q in it", status, out, c.want)
			}
			if n := strings.Count(out, "\n"); n != 1 {
				t.Errorf("%d lines, want one:\n%s", n, out)
			}
		})
	}
	t.Run("another answers there", func(t *testing.T) {
		if out, status := r.try("record", "--dir", t.TempDir(), "--control-path", r.control); status != 1 || !strings.Contains(out, r.control) {
			t.Errorf("exit status %d, want 1; said %q, want %q in it", status, out, r.control)
		}
	})
}
