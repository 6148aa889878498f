package activity

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSeverityWords(t *testing.T) {
	if d := cmp.Diff([]string{"info", "low", "medium", "high", "critical"}, Severities()); d != "" {
		t.Error(d)
	}
	for i, w := range Severities() {
		s, err := ParseSeverity(w)
		if err != nil || s != Severity(i+1) || s.String() != w {
			t.Errorf("%s: %v, %v", w, s, err)
		}
	}
	if len(severityNames()) != int(numSeverities) {
		t.Error("a severity has no word")
	}
	for in, want := range map[string]Severity{"informational": SeverityInfo, "high": SeverityHigh} {
		if got, err := ParseSeverity(in); got != want || err != nil {
			t.Errorf("%q = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "HIGH", "grave"} {
		if got, err := ParseSeverity(in); err == nil {
			t.Errorf("%q is taken for %v", in, got)
		}
	}
}

func TestWorst(t *testing.T) {
	if got := Worst(nil); got != SeverityNone {
		t.Errorf("of nothing: %v", got)
	}
	if got := Worst([]Finding{{Severity: SeverityLow}, {Severity: SeverityCritical}, {Severity: SeverityHigh}}); got != SeverityCritical {
		t.Errorf("got %v", got)
	}
}
