package filter

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// question is an expression's source beside a naive answer to it, made
// together and sharing nothing with the package.
type question struct {
	src string
	ask func(*activity.Event) bool
}

func pick[T any](r *rand.Rand, xs ...T) T { return xs[r.IntN(len(xs))] }

// randomEvent draws every field from few values, so that questions often hit.
func randomEvent(r *rand.Rand) *activity.Event {
	e := &activity.Event{Time: testOptions().Now.Add(-time.Duration(r.IntN(100)) * time.Hour).UnixNano(), Kind: activity.Kind(r.IntN(int(activity.NumKinds))),
		Proto: pick(r, activity.TCP, activity.UDP), Tier: activity.Tier(r.IntN(4)), Flags: activity.Flags(r.IntN(16)), Reason: activity.Reason(r.IntN(18)),
		Unknown: activity.Facts(r.IntN(8)), Rx: uint64(r.IntN(3)) * 1000, Duration: int64(r.IntN(3)) * 1e9}
	e.Local = netip.AddrPortFrom(netip.MustParseAddr(pick(r, "10.0.0.1", "10.9.0.1", "192.168.1.1", "::1", "2001:db8::5")), pick[uint16](r, 22, 80, 443, 8080))
	if r.IntN(3) > 0 {
		e.Remote = netip.AddrPortFrom(netip.MustParseAddr(pick(r, "10.0.0.2", "8.8.8.8", "2001:db8::6")), pick[uint16](r, 80, 443, 50000))
	}
	if r.IntN(4) > 0 {
		e.Owner.PID = pick[uint32](r, 1, 811, 70000)
		e.Process = &activity.Process{ID: 1, Key: e.Owner, Name: pick(r, "", "sshd", "Nginx", "kworker/0:1"), Exe: pick(r, "", "/usr/sbin/sshd", "/opt/ssh/x"),
			UID: pick[uint32](r, 0, 33), User: pick(r, "", "root", "WWW-data"), Unit: activity.Unit{Name: pick(r, "", "ssh.service", "a.socket")}}
	}
	return e
}

func ends(e *activity.Event, which string) (as []netip.AddrPort) {
	if which != "remote" && which != "rport" {
		as = append(as, e.Local)
	}
	if which != "local" && which != "lport" && e.Remote.IsValid() {
		as = append(as, e.Remote)
	}
	return as
}

// wild is a glob by way of a regular expression.
func wild(pat string, fold bool) func(string) bool {
	expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pat))
	if fold {
		expr = "(?i)" + expr
	}
	re := regexp.MustCompile("^(?s:" + expr + ")$")
	return func(s string) bool { return s != "" && re.MatchString(s) }
}

func process(e *activity.Event) *activity.Process {
	if e.Process == nil {
		return &activity.Process{}
	}
	return e.Process
}

// leaf draws one term.
func leaf(r *rand.Rand) question {
	switch r.IntN(9) {
	case 0:
		f, n := pick(r, "port", "lport", "rport"), pick[uint16](r, 22, 80, 443, 50000)
		return question{fmt.Sprintf("%s:%d", f, n), func(e *activity.Event) bool {
			for _, a := range ends(e, f) {
				if a.Port() == n {
					return true
				}
			}
			return false
		}}
	case 1:
		f, n := pick(r, "port", "lport", "rport"), pick[uint16](r, 23, 80, 8080)
		return question{fmt.Sprintf("%s>=%d", f, n), func(e *activity.Event) bool {
			for _, a := range ends(e, f) {
				if a.Port() >= n {
					return true
				}
			}
			return false
		}}
	case 2:
		f, p := pick(r, "ip", "local", "remote"), pick(r, "10.0.0.0/8", "10.0.0.1/32", "::/0", "2001:db8::/64")
		return question{f + ":" + p, func(e *activity.Event) bool {
			for _, a := range ends(e, f) {
				if netip.MustParsePrefix(p).Contains(a.Addr()) {
					return true
				}
			}
			return false
		}}
	case 3:
		k := pick(r, activity.Kinds()...)
		return question{"kind:" + k, func(e *activity.Event) bool { return e.Kind.String() == k }}
	case 4:
		h := r.IntN(100)
		t := testOptions().Now.Add(-time.Duration(h) * time.Hour).UnixNano()
		if r.IntN(2) == 0 {
			return question{fmt.Sprintf("since:%dh", h), func(e *activity.Event) bool { return e.Time >= t }}
		}
		return question{fmt.Sprintf("until:%dh", h), func(e *activity.Event) bool { return e.Time < t }}
	case 5:
		w := pick(r, "sshd", "ng*", "*", "?shd", "kworker/*", "NGINX")
		return question{"name:" + w, func(e *activity.Event) bool { return wild(w, true)(process(e).Name) }}
	case 6:
		w := pick(r, "*/sshd", "/usr/*", "/opt/ssh/?", "/USR/*")
		return question{"exe:" + w, func(e *activity.Event) bool { return wild(w, false)(process(e).Exe) }}
	case 7:
		n := r.IntN(3) * 1000
		return question{fmt.Sprintf("rx<=%d", n), func(e *activity.Event) bool {
			known := e.Rx > 0 || e.Kind.Ends() && e.Unknown&activity.FactBytes == 0
			return known && e.Rx <= uint64(n)
		}}
	}
	return question{"reset:yes", func(e *activity.Event) bool { return e.Flags&activity.FlagReset != 0 }}
}

func randomQuestion(r *rand.Rand, depth int) question {
	if depth == 0 || r.IntN(4) == 0 {
		return leaf(r)
	}
	a, b := randomQuestion(r, depth-1), randomQuestion(r, depth-1)
	switch r.IntN(4) {
	case 0:
		return question{pick(r, "-(", "not (", "!(") + a.src + ")", func(e *activity.Event) bool { return !a.ask(e) }}
	case 1:
		return question{"(" + a.src + " or " + b.src + ")", func(e *activity.Event) bool { return a.ask(e) || b.ask(e) }}
	}
	return question{"(" + a.src + pick(r, " ", " and ") + b.src + ")", func(e *activity.Event) bool { return a.ask(e) && b.ask(e) }}
}

// admits is what a store does with hints.
func admits(h Hints, e *activity.Event) bool {
	inPorts, inAddrs := h.Ports == nil, h.Addrs == nil
	for _, a := range []netip.AddrPort{e.Local, e.Remote} {
		for _, p := range h.Ports {
			inPorts = inPorts || a.IsValid() && p.Lo <= a.Port() && a.Port() <= p.Hi
		}
		for _, p := range h.Addrs {
			inAddrs = inAddrs || p.Contains(a.Addr())
		}
	}
	return !h.Never && inPorts && inAddrs && h.Kinds.Has(e.Kind) && (h.From == 0 || e.Time >= h.From) && (h.To == 0 || e.Time < h.To)
}

// TestAgainstNaive asks random questions of random events: Match must agree
// with the naive answer, so must the canonical form, and no hint may hide an event
// that matches.
func TestAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(2004, 11))
	yes, skipped := 0, 0
	const rounds, events = 4000, 25
	for range rounds {
		q := randomQuestion(r, 4)
		x := mustParse(t, q.src)
		again := mustParse(t, x.String())
		if !reflect.DeepEqual(x.root, again.root) {
			t.Fatalf("%s\nprints %s\nwhich is another expression: %s", q.src, x, again)
		}
		h := x.Hints()
		for range events {
			e := randomEvent(r)
			want := q.ask(e)
			if got := x.Match(e); got != want {
				t.Fatalf("%s\n= %s\nMatch = %v, want %v for\n%+v\n%+v", q.src, x, got, want, e, e.Process)
			}
			if want && !admits(h, e) {
				t.Fatalf("%s: the hints %+v hide\n%+v", x, h, e)
			}
			if want {
				yes++
			}
			if !admits(h, e) {
				skipped++
			}
		}
	}
	// The test itself must not be empty: it hits, misses and skips.
	if n := rounds * events; yes < n/10 || yes > n*9/10 || skipped < n/50 {
		t.Errorf("of %d answers %d are yes and %d skipped: the generator is lopsided", n, yes, skipped)
	}
}

// TestGlobAgainstRegexp checks the matcher, with its short cuts, on random
// patterns of few letters.
func TestGlobAgainstRegexp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(alphabet []string, n int) (s string) {
		for range r.IntN(n) {
			s += pick(r, alphabet...)
		}
		return s
	}
	for range 50_000 {
		pat, v, fold := draw([]string{"a", "B", "é", "*", "?", "K"}, 7), draw([]string{"a", "b", "A", "é", "É", "k", "\u212a"}, 9), r.IntN(2) == 0
		p := newPattern(pat, false)
		if got, want := p.match(v, fold), wild(pat, fold)(v) || v == "" && pat == ""; got != want {
			t.Fatalf("pattern %q, text %q, fold %v: %v, want %v", pat, v, fold, got, want)
		}
	}
}

func TestGlobClasses(t *testing.T) {
	for _, c := range []struct {
		pat, v string
		want   bool
	}{
		{"[a-c]x", "bx", true}, {"[a-c]x", "dx", false}, {"[!a-c]x", "dx", true}, {"[!a]", "a", false}, {"[]]", "]", true}, {"[!]]", "a", true},
		{"[*]", "*", true}, {"[*]", "a", false}, {"[", "[", true}, {"a[b", "a[b", true}, {"[é-ü]", "ö", true}, {"[a-]", "-", true}, {"x[!", "x[!", true},
		{"[!]", "[!]", true}, {`C:\*\x.exe`, `C:\a\x.exe`, true}, {"?", "\xff", true}, {"\xff*z", "\xffz", true}, {"\xff?", "\xfez", false},
	} {
		p := newPattern(c.pat, false)
		if got := p.match(c.v, false); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.pat, c.v, got, c.want)
		}
	}
	w := newPattern("SVCHOST.exe", false)
	if !w.matchPath(`C:\Windows\System32\svchost.exe`) || w.matchPath("/opt/svchost.exe") {
		t.Error("the case of Windows paths does not count, that of others does")
	}
}

// FuzzParse checks that no input makes Parse or Match panic, and that what
// parses prints as an expression that is the same and prints the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", `port:3389 kind:accept remote:10.0.0.0/8 user:root exe:*/sshd since:2h -unit:ssh.service bytes>1MB`,
		`(a or "b c") and not port:80,443,8000-8100`, "at:today..now", `name:"a""b"`, "remote:[fe80::/10]:443 duration>1h30m", "kind:*-failed unknown:*", "\xff:\xff",
		"--", "ssh,80,::1,accept", "ip:private:http args=*", "a!=b", "time<=2261-12-31", "rx:1.5MiB-2PB", "1-2,3..4"} {
		f.Add(s)
	}
	opt := testOptions()
	opt.Modules = modules
	later := opt
	later.Now, later.Location = opt.Now.Add(999*time.Hour), time.FixedZone("west", -9*3600)
	e, l := closing(), listening()
	f.Fuzz(func(t *testing.T, src string) {
		x, err := Parse(src, opt)
		if err != nil {
			if s, ok := err.(*SyntaxError); !ok || s.Col < 1 || strings.Contains(err.Error(), "\n") && !strings.Contains(src, "\n") {
				t.Fatalf("Parse(%q): %#v", src, err)
			}
			return
		}
		canon := x.String()
		again, err := Parse(canon, later)
		if err != nil {
			if len(canon) > maxSource {
				return
			}
			t.Fatalf("%q prints %q, which does not parse: %v", src, canon, err)
		}
		if !reflect.DeepEqual(x.root, again.root) {
			t.Fatalf("%q prints %q, which is another expression", src, canon)
		}
		if h := x.Hints(); x.Match(e) && !admits(h, e) || x.Match(l) && !admits(h, l) {
			t.Fatalf("%q: hints %+v hide a match", src, h)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for _, src := range []string{"port:3389", "remote:10.0.0.0/8", "user:root", "exe:*/sshd", "unit:ssh", "args:daemon",
		"port:443 kind:close remote:203.0.113.0/24 user:www-data exe:*/nginx -unit:ssh.service bytes>1MB", "nginx"} {
		b.Run(src, func(b *testing.B) {
			x, e := mustParse(b, src), closing()
			b.ReportAllocs()
			for b.Loop() {
				x.Match(e)
			}
		})
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	events := []*activity.Event{closing(), listening()}
	for _, src := range []string{"port:443", "remote:10.0.0.0/8,public", "user:root", "exe:*/sshd", "unit:ssh,a*", "args:daemon", `args:"-g daemon"`, "since:2h", "bytes>1MB", "holder:5", "nginx or ssh"} {
		x := mustParse(t, src)
		if n := testing.AllocsPerRun(100, func() {
			for _, e := range events {
				x.Match(e)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a match", src, n)
		}
	}
}
