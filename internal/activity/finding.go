package activity

// Severity says how much a finding matters. Its words are Sigma's levels, with
// "info" for its "informational". Later ones are more severe.
type Severity uint8

// The severities. The zero value is none.
const (
	SeverityNone     Severity = iota
	SeverityInfo              // worth knowing, no reason to act
	SeverityLow               // odd, mostly harmless
	SeverityMedium            // look at it some time today
	SeverityHigh              // look at it now
	SeverityCritical          // act
	numSeverities
)

func severityNames() []string {
	return []string{"", "info", "low", "medium", "high", "critical"}
}

func (s Severity) String() string { return word(severityNames(), int(s)) }

// ParseSeverity is the inverse of Severity.String. Sigma's "informational" is
// taken too.
func ParseSeverity(s string) (Severity, error) {
	if s == "informational" {
		return SeverityInfo, nil
	}
	i, err := parseWord("severity", severityNames()[1:], s)
	if err != nil {
		return SeverityNone, err
	}
	return Severity(i + 1), nil
}

// Severities lists every severity's word, the least severe first, without the zero.
func Severities() []string { return severityNames()[1:] }

// Finding is what a rule of interest says of an event or a socket. It is
// derived: events are stored without their findings.
type Finding struct {
	Rule     string // the rule's id
	Severity Severity
	Reason   string // in words, for people
}

// Worst returns the highest severity of findings, SeverityNone for none.
func Worst(findings []Finding) (s Severity) {
	for i := range findings {
		s = max(s, findings[i].Severity)
	}
	return s
}
