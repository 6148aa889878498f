package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRights(t *testing.T) {
	all := []string{"CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"}
	for name, c := range map[string]struct {
		status string
		want   rights
	}{
		"root":       {"Name:\tx\nCapPrm:\t0\nCapEff:\t000001ffffffffff\nCapBnd:\t0\n", rights{Known: true, Held: all}},
		"user":       {"CapEff:\t0000000000000000\n", rights{Known: true, Missing: all}},
		"service":    {"CapEff:\t000000c000081004\n", rights{Known: true, Held: all}},
		"admin only": {"CapEff:\t0000000000200000\n", rights{Known: true, Held: all[:2], Missing: all[2:]}},
		"none":       {"Name:\tx\n", rights{}},
		"not a mask": {"CapEff:\tzz\n", rights{}},
	} {
		if d := cmp.Diff(c.want, parseRights([]byte(c.status))); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
	}
	if !rightsOf(0).Known {
		t.Error("this process's own are not known")
	}
}

func FuzzParseRights(f *testing.F) {
	f.Add([]byte("CapEff:\t000001ffffffffff\n"))
	f.Fuzz(func(t *testing.T, status []byte) {
		r := parseRights(status)
		if n := len(r.Held) + len(r.Missing); r.Known != (n == len(neededRights())) {
			t.Errorf("%+v", r)
		}
	})
}
