package interest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

func pick[T any](r *rand.Rand, xs ...T) T { return xs[r.IntN(len(xs))] }

// world is a small one, so that rules and events often meet.
type world struct {
	r     *rand.Rand
	procs []*activity.Process
}

func newWorld(r *rand.Rand) *world {
	w := &world{r: r}
	for i := range 12 {
		exe := pick(r, "/usr/sbin/sshd", "/tmp/sshd", "/bin/bash", "/usr/bin/curl", `C:\Windows\System32\svchost.exe`, "")
		w.procs = append(w.procs, &activity.Process{ID: activity.ProcessID(r.IntN(8)), Rev: uint32(i), Key: activity.ProcessKey{PID: uint32(i), Start: 1}, Exe: exe,
			Name: pick(r, "sshd", "bash", "nc", ""), UID: pick[uint32](r, 0, 33), User: pick(r, "root", "www-data", ""), MemFD: r.IntN(6) == 0,
			Modules: activity.ModuleSetID(r.IntN(3)), ExePackage: pick(r, "", "p 1"), Args: []string{"x", pick(r, "-i", "")}})
	}
	return w
}

func (w *world) addr() netip.Addr {
	return netip.MustParseAddr(pick(w.r, "10.0.0.1", "127.0.0.1", "0.0.0.0", "203.0.113.7", "203.0.113.8", "::1", "2001:db8::7", "255.255.255.255"))
}

func (w *world) port() uint16 { return pick[uint16](w.r, 22, 80, 443, 4444, 40000, 65535) }

func (w *world) event() *activity.Event {
	r := w.r
	e := &activity.Event{Time: int64(r.IntN(100)), Kind: activity.Kind(r.IntN(int(activity.NumKinds))), Proto: pick(r, activity.TCP, activity.UDP),
		Local: netip.AddrPortFrom(w.addr(), w.port()), Role: activity.Role(r.IntN(8)), Flags: activity.Flags(r.IntN(16))}
	if r.IntN(3) > 0 {
		e.Remote = netip.AddrPortFrom(w.addr(), w.port())
	}
	if r.IntN(5) > 0 {
		e.Process = pick(r, w.procs...)
		e.Owner = e.Process.Key
	}
	return e
}

func (w *world) list(n int, values ...string) string {
	var picked []string
	for range 1 + w.r.IntN(n) {
		picked = append(picked, fmt.Sprintf("'%s'", pick(w.r, values...)))
	}
	return "[" + strings.Join(picked, ", ") + "]"
}

// rule writes a random rule, with one to three of its keys.
func (w *world) rule(id int) string {
	keys := []string{
		"ports = " + w.list(3, "22", "80", "443-5000", "tcp/22", "udp/443", "60000-65535"),
		"processes = " + w.list(2, "sshd", "ba*", "nc", "*.exe"),
		"users = " + w.list(2, "root", "33"),
		"addresses = " + w.list(3, "10.0.0.0/8", "203.0.113.7", "203.0.113.0/24", "2001:db8::/32", "::/0", "255.0.0.0/8"),
		"hosts = " + w.list(2, "evil.example", "*.example"),
		"modules = " + w.list(2, "*lzma*", "libc.so.6"),
		"belongs = {sshd = '/usr/sbin', 'svchost.exe' = 'C:\\Windows'}",
		"condition = '" + pick(w.r, conditionNames()...) + "'",
		"when = '" + pick(w.r, "kind:listen", "-port:22", "memfd:yes or port:443", "-(process:sshd port:22)", "remote:203.0.113.0/24 or process:nc", "local:loopback -exe:/tmp/*", "kind:accept,connect inbound:yes", "user:root -kind:close") + "'",
	}
	w.r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return fmt.Sprintf("[[rule]]\nid = \"r%d\"\n%s\n", id, strings.Join(keys[:1+w.r.IntN(3)], "\n"))
}

func (w *world) options() Options {
	opt := testOptions()
	opt.Names = func(a netip.Addr) []string {
		if a.Is4() && a.As4()[3] == 7 {
			return []string{"evil.example"}
		}
		return nil
	}
	opt.Writable = func(p *activity.Process) bool { return strings.HasPrefix(p.Exe, "/tmp/") }
	opt.Filter.Modules = func(id activity.ModuleSetID) *activity.ModuleSet {
		if id == 1 {
			return &activity.ModuleSet{ID: 1, Modules: []activity.Module{{Path: "/usr/lib/libc.so.6", Package: "libc 1"}, {Path: "/opt/liblzma.so"}}}
		}
		return nil
	}
	opt.Baseline = NewBaseline(50, 100)
	for range 30 {
		opt.Baseline.Learn(w.event())
	}
	return opt
}

// TestIndexAgreesWithAsking: the compiled index finds what asking each rule by
// itself finds, of random events in their order.
func TestIndexAgreesWithAsking(t *testing.T) {
	hits := 0
	for seed := range uint64(60) {
		w := newWorld(rand.New(rand.NewPCG(seed, 4)))
		opt := w.options()
		var all []string
		var alone []*Matcher
		for i := range 1 + w.r.IntN(140) {
			all = append(all, w.rule(i))
			s := setOf(t, all[i], opt)
			alone = append(alone, s.Matcher())
		}
		m := setOf(t, strings.Join(all, "\n"), opt).Matcher()
		for range 300 {
			e := w.event()
			var want []activity.Finding
			for _, a := range alone {
				want = naive(a, e, want)
			}
			hits += len(want)
			if d := cmp.Diff(want, m.Event(e, nil)); d != "" {
				t.Fatalf("seed %d: %+v of %+v: -want +got\n%s", seed, e, e.Process, d)
			}
		}
	}
	if hits < 10000 {
		t.Errorf("only %d findings: the test says little", hits)
	}
}

// naive asks the one rule of a matcher without any index.
func naive(m *Matcher, e *activity.Event, found []activity.Finding) []activity.Finding {
	if e.Kind.Coverage() {
		return found
	}
	c := m.scopes.see(e, m.set.opt.Baseline)
	r := &m.set.rules[0]
	p := e.Process
	if p != nil && p.Name == "" && p.Exe == "" && p.Key.IsZero() {
		p = nil
	}
	switch r.special { // what mayOwn alone decides
	case worldWritable:
		if p == nil || !m.set.opt.Writable(p) {
			return found
		}
	case unpackagedModule:
		if foreignModule(p, m.set.opt.modules) == nil {
			return found
		}
	case newListener, newDestination:
		if program(p) == "" {
			return found
		}
	}
	if r.match(e, nil, &m.set.opt, c.wider()) {
		found = append(found, r.finding(e, &m.set.opt, c))
	}
	return found
}

// TestForgetting: a matcher that has met more images than it remembers still
// finds the same.
func TestForgetting(t *testing.T) {
	s := setOf(t, "[[rule]]\nid = \"r\"\nprocesses = \"nc\"", testOptions())
	m := s.Matcher()
	for i := range 3 * maxImages {
		e := event(activity.KindListen, "0.0.0.0:1", "", "/usr/bin/"+pick(rand.New(rand.NewPCG(uint64(i), 1)), "nc", "cat"))
		e.Process.ID = activity.ProcessID(i + 1)
		if got := len(m.Event(e, nil)) == 1; got != (e.Process.Name == "nc") {
			t.Fatalf("image %d: %v", i, got)
		}
	}
	if len(m.owners) > maxImages {
		t.Errorf("%d images remembered", len(m.owners))
	}
}
