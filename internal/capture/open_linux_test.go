package capture

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/capture/bpf"
	"github.com/portreporter/portreporter/internal/testutil"
)

func TestUnknownTier(t *testing.T) {
	if _, err := Open(Config{Tier: "epbf"}); err == nil || !strings.Contains(err.Error(), `"epbf"`) || !strings.Contains(err.Error(), EBPF) {
		t.Errorf("Open: %v", err)
	}
}

func TestBestTierForRoot(t *testing.T) {
	testutil.Root(t, "the ebpf tier")
	for tier, want := range map[string]activity.Tier{Auto: activity.TierEBPF, EBPF: activity.TierEBPF, Poll: activity.TierPoll} {
		s, err := Open(Config{Tier: tier})
		if err != nil {
			t.Errorf("%s: %v", tier, err)
			continue
		}
		if info := s.Info(); info.Tier != want {
			t.Errorf("%s gives %v, want %v", tier, info.Tier, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestHintsAreJoined(t *testing.T) {
	own := testutil.NewSource()
	own.Described = activity.SourceInfo{Hint: "b"}
	for _, c := range []struct{ before, inner, want string }{{"a", "b", "a; b"}, {"", "b", "b"}, {"a", "", "a"}} {
		own.Described.Hint = c.inner
		if got := (hinted{Source: own, hint: c.before}).Info().Hint; got != c.want {
			t.Errorf("%q and %q give %q", c.before, c.inner, got)
		}
	}
}

func TestExplain(t *testing.T) {
	if got := explain(bpf.ErrUnsupported); !strings.Contains(got, "BTF") {
		t.Errorf("no BTF: %q", got)
	}
	if got := explain(errors.New("anything")); got == "" {
		t.Error("an unknown failure has no words")
	}
}

// TestSnapshotIsTheCallers: whichever way the kernel is asked, the sockets that
// were handed over stay what they are.
func TestSnapshotIsTheCallers(t *testing.T) {
	testutil.Root(t, "a network namespace")
	ns := testutil.NewNetNS(t)
	want := map[string]bool{}
	ns.Do(func() {
		for range 3 {
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			want[l.Addr().String()] = true
		}
	})
	for how, snapshot := range map[string]func(func(*activity.Socket) bool) error{"best": Snapshot, "tables": tables} {
		var kept []*activity.Socket
		ns.Do(func() {
			if err := snapshot(func(s *activity.Socket) bool { kept = append(kept, s); return true }); err != nil {
				t.Errorf("%s: %v", how, err)
			}
		})
		got := map[string]bool{}
		for _, s := range kept {
			if s.NetNS == uint32(ns.Inode) {
				got[s.Local.String()] = true
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", how, d)
		}
	}
}
