package interest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

// mixedRules writes n rules in the proportions in which people write them, none
// of which is about a history of testutil's.
func mixedRules(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[[rule]]\nid = \"r%d\"\n", i)
		switch i % 5 {
		case 0:
			fmt.Fprintf(&b, "ports = [%d, \"tcp/%d\"]\nwhen = \"kind:listen,accept\"\n", 10000+i, 11000+i)
		case 1:
			fmt.Fprintf(&b, "processes = [\"tool%d\", \"other%d*\"]\n", i, i)
		case 2:
			fmt.Fprintf(&b, "addresses = [\"192.0.2.%d\", \"198.51.%d.0/24\"]\n", i%250, i%250)
		case 3:
			fmt.Fprintf(&b, "when = \"exe:/tmp/x%d/* -user:root\"\n", i)
		case 4:
			fmt.Fprintf(&b, "users = \"mallory%d\"\nwhen = \"bytes>1MB\"\n", i)
		}
	}
	return b.String()
}

// TestNoAllocations: an event that matches nothing costs no memory.
func TestNoAllocations(t *testing.T) {
	m := setOf(t, mixedRules(100), testOptions()).Matcher()
	h := testutil.NewHistory(1)
	events := make([]activity.Event, 2000)
	for i := range events {
		events[i] = h.Next()
	}
	var found []activity.Finding
	ask := func() {
		for i := range events {
			found = m.Event(&events[i], found[:0])
			if len(found) > 0 {
				t.Fatalf("%+v of %+v", found, events[i])
			}
		}
	}
	ask() // meets the processes
	if n := testing.AllocsPerRun(5, ask); n != 0 {
		t.Errorf("%v allocations for %d events", n, len(events))
	}
}

// BenchmarkNothing is the cost of an event that matches none of so many rules.
func BenchmarkNothing(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := setOf(b, mixedRules(n), testOptions()).Matcher()
			benchmark(b, m)
		})
	}
}

// BenchmarkStarter is the cost of the rules that are on by themselves.
func BenchmarkStarter(b *testing.B) {
	build := NewBuilder(testOptions())
	if err := build.AddStarter(); err != nil {
		b.Fatal(err)
	}
	benchmark(b, built(b, build).Matcher())
}

func benchmark(b *testing.B, m *Matcher) {
	h := testutil.NewHistory(1)
	events := make([]activity.Event, 10000)
	for i := range events {
		events[i] = h.Next()
	}
	var found []activity.Finding
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		found = m.Event(&events[i%len(events)], found[:0])
	}
}

// BenchmarkSigma is the cost of as many Sigma rules as are published for this
// category, in their shape.
func BenchmarkSigma(b *testing.B) {
	build := NewBuilder(testOptions())
	for i := range 56 {
		detection := fmt.Sprintf("selection:\n  Initiated: 'true'\n  Image|endswith: ['\\tool%d.exe', '/tool%d']\nfilter_main_local:\n  DestinationIp|cidr: [10.0.0.0/8, 127.0.0.0/8]\ncondition: selection and not 1 of filter_main_*", i, i)
		switch i % 3 {
		case 1:
			detection = fmt.Sprintf("selection:\n  DestinationPort: %d\nfilter:\n  Image|startswith: C:\\Windows\\\ncondition: selection and not filter", 20000+i)
		case 2:
			detection = fmt.Sprintf("selection:\n  DestinationHostname|contains: evil%d.example\ncondition: selection", i)
		}
		text := strings.Replace(sigmaRuleText(detection), "id: 11111111", fmt.Sprintf("id: %08d", i), 1)
		if err := build.AddSigma(fmt.Sprint(i), []byte(text)); err != nil {
			b.Fatal(err)
		}
	}
	benchmark(b, built(b, build).Matcher())
}
