package query

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/portreporter/portreporter/bench/run"
	"github.com/portreporter/portreporter/internal/testutil"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// BenchmarkDomain asks a domain controller all of the group Domains and Trusts.
// A round is the whole command, from its start to its end.
func BenchmarkDomain(b *testing.B) {
	client := testutil.NewNetNS(b)
	dc := server.StartIn(b, client.Veth(), testutil.Veth4[1].Addr(), "samba")
	program := testutil.Build(b, "./cmd/portreporter")
	ask := func(args ...string) (float64, []answered) {
		args = append([]string{"query", dc.Addr.String(), "--json"}, args...)
		took, out := timed(b, client, exec.Command(program, args...))
		return took, answers(b, out)
	}
	named(b, func() []answered { _, a := ask("udp/137"); return a })
	var took []float64
	full := 0
	b.ResetTimer()
	for range b.N {
		d, a := ask("--group", "domains-and-trusts")
		took = append(took, d)
		silent := ""
		for _, r := range a {
			if r.Answer == nil {
				silent += fmt.Sprintf(", %s %d %s", r.Proto, r.Port, r.Verdict)
			}
		}
		if silent == ", tcp 42 not-listening" { // Samba replicates no WINS
			full++
		}
		fmt.Printf("domain %.3f s: %d ports, without an answer%s\n", d, len(a), silent)
	}
	s := run.Summarise(took)
	fmt.Printf("domain: %v s, %d of %d rounds with all answers\n", s, full, b.N)
	b.ReportMetric(s.Median, "s/group")
}

// answered is what the benchmark reads of a result.
type answered struct {
	Proto   string
	Port    int
	Verdict string
	Answer  *struct{ Fields []struct{ Values []string } }
}

func answers(b *testing.B, out string) (all []answered) {
	d := json.NewDecoder(strings.NewReader(out))
	for d.More() {
		var a answered
		if err := d.Decode(&a); err != nil {
			b.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// named waits until the domain controller has its domain's name, which Samba
// takes two seconds after it has bound the port.
func named(b *testing.B, status func() []answered) {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-poll.C {
		if a := status(); len(a) == 1 && strings.Contains(fmt.Sprint(*a[0].Answer), "<1c>") {
			return
		}
	}
	b.Fatal("the domain controller has no domain's name")
}
