package all

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
)

// TestProbers: each name is used once, in order, in the form of service names,
// and each prober is at home somewhere.
func TestProbers(t *testing.T) {
	var names []string
	for _, p := range Probers() {
		names = append(names, p.Protocol())
		if len(p.Ports()) == 0 {
			t.Errorf("%s has no port", p.Protocol())
		}
		for _, port := range p.Ports() {
			if port.Port == 0 || port.Name == "" || port.Proto != probe.TCP && port.Proto != probe.UDP {
				t.Errorf("%s: port %+v", p.Protocol(), port)
			}
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("not in order, or twice: %q", names)
	}
}

// TestDocs: what each prober asks stands in the pages on them.
func TestDocs(t *testing.T) {
	var pages strings.Builder
	for _, name := range []string{"PORTQRY.md", "PROBERS.md"} {
		page, err := os.ReadFile("../../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		pages.Write(page)
	}
	for _, p := range Probers() {
		if !strings.Contains(pages.String(), "`"+p.Protocol()+"`") {
			t.Errorf("docs/PROBERS.md says nothing of %s", p.Protocol())
		}
	}
}
