package interest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

// at gives an event another time.
func at(e *activity.Event, t int64) *activity.Event {
	e.Time = t
	return e
}

func TestBaseline(t *testing.T) {
	b := NewBaseline(100, 200)
	for _, e := range []*activity.Event{
		event(activity.KindListen, "0.0.0.0:80", "", "/usr/bin/web"),
		event(activity.KindSnapshot, "127.0.0.1:5432", "", "/usr/bin/db"),
		event(activity.KindConnect, "10.0.0.1:40000", "203.0.113.7:443", "/usr/bin/web"),
		event(activity.KindConnectFailed, "10.0.0.1:40000", "203.0.113.8:443", "/usr/bin/web"),
		event(activity.KindAccept, "10.0.0.1:80", "198.51.100.1:40000", "/usr/bin/web"), // nothing that it did
		event(activity.KindListen, "0.0.0.0:1", "", ""),                                 // nobody
	} {
		b.Learn(e)
	}
	if got := b.Programs(); got != 2 {
		t.Errorf("%d programs", got)
	}
	opt := testOptions()
	opt.Baseline = b
	m := setOf(t, "[[rule]]\nid = \"listener\"\ncondition = \"new-listener\"\n[[rule]]\nid = \"destination\"\ncondition = \"new-destination\"\n[[rule]]\nid = \"widened\"\ncondition = \"widened\"\n", opt).Matcher()
	flow := event(activity.KindFlow, "10.0.0.1:40000", "192.0.2.53:53", "/usr/bin/web")
	answered := event(activity.KindFlow, "10.0.0.1:53", "192.0.2.53:40000", "/usr/bin/web")
	answered.Flags = activity.FlagInbound
	bind := event(activity.KindBind, "0.0.0.0:53", "", "/usr/bin/web")
	picked := event(activity.KindBind, "0.0.0.0:40000", "", "/usr/bin/web")
	picked.Flags = activity.FlagAutoBind
	for _, c := range []struct {
		e    *activity.Event
		want string
	}{
		{event(activity.KindListen, "0.0.0.0:80", "", "/usr/bin/web"), ""},
		{event(activity.KindListen, "127.0.0.1:80", "", "/usr/bin/web"), ""},
		{event(activity.KindListen, "0.0.0.0:81", "", "/usr/bin/web"), "listener"},
		{event(activity.KindListen, "0.0.0.0:80", "", "/usr/bin/other"), "listener"},
		{at(event(activity.KindListen, "0.0.0.0:81", "", "/usr/bin/web"), 99), ""}, // from before
		{event(activity.KindListen, "0.0.0.0:5432", "", "/usr/bin/db"), "widened"},
		{bind, "listener"},
		{picked, ""},
		{event(activity.KindConnect, "10.0.0.1:40000", "203.0.113.7:443", "/usr/bin/web"), ""},
		{event(activity.KindConnect, "10.0.0.1:40000", "203.0.113.8:443", "/usr/bin/web"), ""},
		{event(activity.KindConnect, "10.0.0.1:40000", "203.0.113.7:444", "/usr/bin/web"), "destination"},
		{event(activity.KindConnect, "10.0.0.1:40000", "203.0.113.7:443", "/usr/bin/db"), "destination"},
		{flow, "destination"},
		{answered, ""},
		{event(activity.KindClose, "10.0.0.1:40000", "203.0.113.7:444", "/usr/bin/web"), ""},
	} {
		if got := strings.Join(ids(m.Event(c.e, nil)), " "); got != c.want {
			t.Errorf("%v %v %v of %v: %q, want %q", c.e.Kind, c.e.Local, c.e.Remote, c.e.Process.Exe, got, c.want)
		}
	}
}

// TestBaselineBounds: what does not fit is never told as new, and nothing grows.
func TestBaselineBounds(t *testing.T) {
	b := NewBaseline(0, 1)
	for i := range 3 * maxListeners {
		b.Learn(event(activity.KindListen, fmt.Sprintf("0.0.0.0:%d", 1000+i), "", "/usr/bin/many"))
	}
	for i := range 3 * maxDestinations {
		b.Learn(event(activity.KindConnect, "10.0.0.1:40000", fmt.Sprintf("10.1.%d.%d:443", i/256, i%256), "/usr/bin/browser"))
	}
	many, browser := b.programs["/usr/bin/many"], b.programs["/usr/bin/browser"]
	if len(many.listens) > maxListeners || len(browser.calls) > maxDestinations {
		t.Errorf("%d listeners, %d destinations", len(many.listens), len(browser.calls))
	}
	if b.newListener(event(activity.KindListen, "0.0.0.0:9", "", "/usr/bin/many")) || b.newDestination(event(activity.KindConnect, "10.0.0.1:1", "192.0.2.1:1", "/usr/bin/browser")) {
		t.Error("a program without habits departs from them")
	}
	if !b.newDestination(event(activity.KindConnect, "10.0.0.1:1", "192.0.2.1:1", "/usr/bin/many")) {
		t.Error("one that only listens may call anybody")
	}
	for i := range 2 * maxPrograms {
		b.Learn(event(activity.KindListen, "0.0.0.0:1", "", fmt.Sprint("/usr/bin/p", i)))
	}
	if b.Programs() > maxPrograms || b.newListener(event(activity.KindListen, "0.0.0.0:1", "", "/usr/bin/unknown")) {
		t.Errorf("%d programs, and those that do not fit are judged", b.Programs())
	}
	again, err := DecodeBaseline(b.Encode())
	if err != nil || !again.full || again.Programs() != b.Programs() {
		t.Errorf("%v: a full baseline does not survive", err)
	}
}

// TestBaselineEncoding: what is stored is read as it was, is the same each time,
// and has a line for each program.
func TestBaselineEncoding(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(rand.New(rand.NewPCG(seed, 9)))
		b := NewBaseline(int64(seed), 1e18+int64(seed))
		for range 200 {
			b.Learn(w.event())
		}
		text := b.Encode()
		again, err := DecodeBaseline(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !bytes.Equal(text, again.Encode()) {
			t.Errorf("seed %d: stored and read and stored, it differs: %s", seed, cmp.Diff(string(text), string(again.Encode())))
		}
		if n := bytes.Count(text, []byte("\n")); n != b.Programs()+2 {
			t.Errorf("%d lines for %d programs", n, b.Programs())
		}
		for range 300 {
			if e := w.event(); b.newListener(e) != again.newListener(e) || b.newDestination(e) != again.newDestination(e) {
				t.Errorf("seed %d: it is another one, of %+v", seed, e)
			}
		}
	}
}

func TestBaselineErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":        "baseline: ",
		`{"v":2}`: "baseline: version 2, and only 1 is known",
		`{"v":1,"programs":[{"program":"x","listens":["sctp/1 loopback"]}]}`:                                                       `baseline: "x": unknown`,
		`{"v":1,"programs":[{"program":"x","listens":["tcp/70000 loopback"]}]}`:                                                    `baseline: "x": listener "tcp/70000 loopback"`,
		`{"v":1,"programs":[{"program":"x","listens":["tcp/1 far"]}]}`:                                                             `baseline: "x": listener "tcp/1 far": unknown scope "far"`,
		`{"v":1,"programs":[{"program":"x","calls":["tcp/1.2.3.4"]}]}`:                                                             `baseline: "x": `,
		`{"v":1,"programs":[` + strings.TrimSuffix(strings.Repeat("{},", maxPrograms+1), ",") + `]}`:                               "baseline: 4097 programs",
		`{"v":1,"programs":[{"program":"x","calls":[` + strings.TrimSuffix(strings.Repeat(`"",`, maxDestinations+1), ",") + `]}]}`: `baseline: "x": more`,
	} {
		if _, err := DecodeBaseline([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.80s: %v", text, err)
		}
	}
}

// FuzzBaseline: no text crashes the reader, and what it takes it takes again.
func FuzzBaseline(f *testing.F) {
	f.Add([]byte(`{"v":1,"from":"2026-11-24T00:00:00Z","to":"2026-11-25T00:00:00Z","programs":[{"program":"/x","listens":["tcp/80 everywhere","udp/53 loopback"],"calls":["tcp/[::1]:443"],"any_port":true}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeBaseline(data)
		if err != nil {
			if b != nil {
				t.Error("a baseline beside an error")
			}
			return
		}
		if _, err := DecodeBaseline(b.Encode()); err != nil {
			t.Errorf("what was read cannot be stored and read: %v", err)
		}
	})
}

// TestNetSet compares with asking each prefix.
func TestNetSet(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	random := func() netip.Addr {
		if r.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, byte(r.IntN(3)), byte(r.IntN(4)), byte(r.IntN(8))})
		}
		a := netip.MustParseAddr("2001:db8::").As16()
		a[15], a[5] = byte(r.IntN(8)), byte(r.IntN(3))
		return netip.AddrFrom16(a)
	}
	for range 200 {
		var s netSet
		var all []netip.Prefix
		for range r.IntN(8) {
			a := random()
			p := netip.PrefixFrom(a, r.IntN(a.BitLen()+1))
			s.add(p)
			all = append(all, p)
		}
		for range 50 {
			a, want := random(), false
			for _, p := range all {
				want = want || p.Contains(a)
			}
			if s.has(a) != want {
				t.Fatalf("%v in %v: %v", a, all, !want)
			}
		}
	}
	if (&netSet{}).has(netip.Addr{}) {
		t.Error("no address is in an empty set")
	}
	for text, want := range map[string]string{"::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:1.2.3.4": "1.2.3.4/32", "10.1.2.3/8": "10.0.0.0/8", "fe80::1%eth0": "fe80::1/128"} {
		if p, err := parsePrefix(text); err != nil || p.String() != want {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
}
