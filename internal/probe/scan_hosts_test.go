package probe

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// TestScanMeetsItself: a connection with ourselves is no answer and costs no try;
// one that always meets itself could not be tested.
func TestScanMeetsItself(t *testing.T) {
	m := newModel(1, few(Reset, Accepted, 80))
	m.self = map[uint16]int{7: 3, 80: 1, 9: maxSelf + 1}
	got, _ := verdicts(t, m, Runner{}, ports(TCP, 100))
	for port, want := range map[uint16]Verdict{7: NotListening, 80: Listening, 9: NoVerdict, 10: NotListening} {
		r := got[Target{Addr: host(), Proto: TCP, Port: port}]
		if r.Verdict != want || want != NoVerdict && r.Evidence.Tries != 1 {
			t.Errorf("port %d: %v after %d tries, want %v after one", port, r.Verdict, r.Evidence.Tries, want)
		}
	}
}

// TestScanPatience: a host that limits its errors is asked for as long as the user
// wants; what is unproven then says so.
func TestScanPatience(t *testing.T) {
	m := newModel(1, few(ICMP, Reply))
	m.icmp = &bucket{rate: 1, burst: 6, tokens: 6}
	got, took := verdicts(t, m, Runner{Patience: 5 * time.Second}, ports(UDP, 60))
	limited := 0
	for _, r := range got {
		if r.Evidence.Limited {
			limited++
			if r.Verdict != ListeningOrFiltered {
				t.Errorf("%v, though limited", r.Verdict)
			}
		}
	}
	n := count(got)
	if n[NotListening] < 10 || n[ListeningOrFiltered] != limited || limited == 0 || took > 8*time.Second {
		t.Errorf("%v, %d limited, in %v", n, limited, took)
	}
}

// TestScanRate: the cap is kept, of all targets together.
func TestScanRate(t *testing.T) {
	m := newModel(1, few(Reset, Accepted))
	_, took := verdicts(t, m, Runner{Rate: 1000}, ports(TCP, 3000))
	if took < 2900*time.Millisecond || took > 3200*time.Millisecond {
		t.Errorf("3,000 tries at 1,000 a second took %v", took)
	}
}

// TestScanManyHosts: silent hosts do not hold up the others.
func TestScanManyHosts(t *testing.T) {
	m := newModel(1, func(t Target) Sign {
		if t.Addr.As4()[3]%4 == 0 {
			return Silence
		}
		return Reset
	})
	var targets []Target
	for port := range uint16(8) {
		for last := range 256 {
			targets = append(targets, Target{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(last)}), Proto: TCP, Port: port + 1})
		}
	}
	got, took := verdicts(t, m, Runner{}, targets)
	if n := count(got); n[NotListening] != 192*8 || n[Filtered] != 64*8 || took > 3500*time.Millisecond {
		t.Errorf("%v in %v", n, took)
	}
}

// TestScanLikeModel: on networks that lose nothing, whatever is at the ports and
// however long the way, each verdict is what the naive reading of RFC 793 and 792
// says, and the same for both transports mixed.
func TestScanLikeModel(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 2))
		at := map[Target]Sign{}
		var targets []Target
		for range 1 + rng.IntN(400) {
			target := Target{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(5))}), Proto: TCP, Port: uint16(1 + rng.IntN(65535))}
			signs := []Sign{Accepted, Reset, ICMP, Silence}
			if rng.IntN(2) == 0 {
				target.Proto, signs = UDP, []Sign{Reply, ICMP, Silence}
			}
			if _, twice := at[target]; twice {
				continue
			}
			at[target] = signs[rng.IntN(len(signs))]
			targets = append(targets, target)
		}
		m := newModel(seed, func(t Target) Sign { return at[t] })
		m.rtt = time.Duration(rng.IntN(300)) * time.Millisecond
		m.room = 1 + rng.IntN(500)
		got, _ := verdicts(t, m, Runner{}, targets)
		for target, r := range got {
			if want := naive(target.Proto, at[target]); r.Verdict != want || r.Evidence.Sign != at[target] {
				t.Fatalf("seed %d, %+v with %v: %v by %+v, want %v", seed, target, at[target], r.Verdict, r.Evidence, want)
			}
		}
	}
}

func naive(p Proto, s Sign) Verdict {
	switch fmt.Sprint(p, s) {
	case fmt.Sprint(TCP, Accepted), fmt.Sprint(UDP, Reply):
		return Listening
	case fmt.Sprint(TCP, Reset), fmt.Sprint(UDP, ICMP):
		return NotListening
	case fmt.Sprint(UDP, Silence):
		return ListeningOrFiltered
	}
	return Filtered
}
