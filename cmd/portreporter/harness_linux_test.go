package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// giveUp bounds every wait of these tests. It says when a wait is hopeless, and
// never how long something may take.
const giveUp = time.Minute

// lines is what a program says, line by line, while it runs.
type lines struct {
	mu   sync.Mutex
	all  []string
	more chan struct{} // closed, and made anew, with each line; nil while nobody waits
}

func (l *lines) read(r io.Reader) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		l.mu.Lock()
		l.all = append(l.all, sc.Text())
		l.wake()
		l.mu.Unlock()
	}
}

func (l *lines) wake() {
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
}

func (l *lines) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = nil
}

// count returns how many lines hold word, and what tells of the next line.
func (l *lines) count(word string) (n int, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.all {
		if strings.Contains(s, word) {
			n++
		}
	}
	if l.more == nil {
		l.more = make(chan struct{})
	}
	return n, l.more
}

// await waits for a line that holds word. It is false when the program ends
// (done) or a long time passes without one.
func (l *lines) await(word string, done <-chan struct{}) bool {
	late := time.After(giveUp)
	for {
		n, more := l.count(word)
		if n > 0 {
			return true
		}
		select {
		case <-more:
		case <-done:
			n, _ = l.count(word)
			return n > 0
		case <-late:
			return false
		}
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// eventually asks f again and again until it is true, or it is hopeless.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for late := time.Now().Add(giveUp); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

// settled waits until the recorder has read all that happened before the call,
// and its table has nothing left of the namespaces of log, whose sockets must
// all be gone: what it did not see ending it has found out.
func (r *recorderUnderTest) settled(log *truth.Log) {
	r.t.Helper()
	ns := testutil.NewNetNS(r.t)
	r.settlings++
	ns.Do(func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			r.t.Fatal(err)
		}
		defer l.Close()
		// The kernel's reports are read in their order, so this comes last.
		eventually(r.t, "the table has a new listener", func() bool { return r.sockets(ns.Inode) > 0 })
	})
	for _, inode := range log.NetNS {
		eventually(r.t, "the table has nothing left of the traffic", func() bool { return r.sockets(inode) == 0 })
	}
}

// sockets counts what the recorder's table has of a network namespace.
func (r *recorderUnderTest) sockets(netns uint32) int {
	out := r.run("list", "--all", "--json", "--control-path", r.control, "netns:"+strconv.FormatUint(uint64(netns), 10))
	return strings.Count(string(out), "\n")
}

// verify compares the record with the truth. declared adds nothing to what is
// missing: the report says it beside.
func (r *recorderUnderTest) verify(log *truth.Log) *truth.Report {
	r.t.Helper()
	rep, _ := r.account(log)
	return rep
}

// account compares the record with the truth, and counts by kind what it has of
// others than the generator.
func (r *recorderUnderTest) account(log *truth.Log) (rep *truth.Report, foreign [activity.NumKinds]int) {
	r.t.Helper()
	v := truth.NewVerifier(log)
	for e, err := range truth.Events(r.events()) {
		if err != nil {
			r.t.Fatal(err)
		}
		v.Add(e)
		if e.Coverage == nil && e.NetNS != log.NetNS[0] {
			foreign[e.Kind]++
		}
	}
	// The listeners of settled may be among what was lost.
	foreign[activity.KindListen] += r.settlings
	foreign[activity.KindUnlisten] += r.settlings
	return v.Report(), foreign
}

// wantDeclared wants the loss of each kind declared to the event:
//
//	made = observed + declared lost
//
// An event that was lost may be inferred all the same, when the table is
// compared with the kernel's. A few that no hook saw, and nobody counts, are
// inferred too (see closesInferred), or missing where what began them was lost.
// The end of a flow whose beginning was lost is not known
// to anybody: it is declared with its beginning. Losses are the whole machine's:
// where others used the network meanwhile, theirs are among them.
func wantDeclared(t *testing.T, rep *truth.Report, foreign [activity.NumKinds]int) {
	t.Helper()
	bad := ""
	for k := activity.KindNone + 1; k < activity.NumKinds; k++ {
		if k == activity.KindSnapshot || k.Coverage() {
			continue // the recorder's own, which no truth knows
		}
		c, lost := rep.Kind(k), int(rep.Lost[k])
		if c.WrongOwner+c.WrongFact+c.Extra > 0 {
			bad += fmt.Sprintf("%s: %d made up, %d with a wrong owner, %d with a wrong fact\n", k, c.Extra, c.WrongOwner, c.WrongFact)
		}
		if k == activity.KindFlowEnd && c.Missing > lost {
			lost = min(c.Missing, lost+int(rep.Lost[activity.KindFlow]))
		}
		unseen := c.Made * closesInferred / 1000
		if lost < c.Missing-unseen || lost < c.Missing+c.Inferred-unseen {
			bad += fmt.Sprintf("%s: %d declared lost, but %d missing and %d inferred\n", k, lost, c.Missing, c.Inferred)
		}
		if most := c.Missing + c.Inferred; lost > most && foreign[k] == 0 {
			bad += fmt.Sprintf("%s: %d declared lost, but only %d missing and %d inferred\n", k, lost, c.Missing, c.Inferred)
		}
	}
	if bad != "" {
		t.Errorf("%s%s", bad, rep)
	}
}

// wantAll wants every event of the truth observed, by the right owner, and
// nothing lost. What may be inferred is said in thousandths.
func wantAll(t *testing.T, rep *truth.Report, inferred int) {
	t.Helper()
	if err := rep.Err(); err != nil {
		t.Errorf("%v\n%s", err, rep)
		return
	}
	for k := activity.KindNone + 1; k < activity.NumKinds; k++ {
		c := rep.Kind(k)
		if c.Missing > 0 || c.NoOwner > 0 || c.Inferred*1000 > c.Made*inferred {
			t.Errorf("%s: %d of %d missing, %d without owner, %d inferred\n%s", k, c.Missing, c.Made, c.NoOwner, c.Inferred, rep)
		}
	}
	if rep.NoProcess > 0 {
		t.Errorf("%d events whose process is a number only\n%s", rep.NoProcess, rep)
	}
}
