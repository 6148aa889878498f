package interest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// Sigma rules (sigmahq.io/docs, specification 2.1) of category network_connection
// are about what Sysmon's event 3 has: a process, and the two ends of a
// connection with who began it. This file reads them, sigmacond.go their
// condition, sigmatest.go their tests of fields; sigmafield.go says what each
// field is of an event of ours.

// The bounds of a Sigma file, beside those of its size.
const (
	maxSigmaDocuments = 64
	maxSigmaDepth     = 32   // nested groups, and YAML within YAML
	maxSigmaValues    = 8192 // in a rule
)

// sigmaFile is what of a rule's YAML matters here.
type sigmaFile struct {
	Title       string    `yaml:"title"`
	ID          string    `yaml:"id"`
	Description string    `yaml:"description"`
	Level       string    `yaml:"level"`
	Status      string    `yaml:"status"`
	Author      string    `yaml:"author"`
	Action      string    `yaml:"action"`
	Logsource   logsource `yaml:"logsource"`
	Detection   yaml.Node `yaml:"detection"`
	Correlation yaml.Node `yaml:"correlation"`
}

// logsource says which events a rule is about. The product is not asked: a
// Windows rule finds nothing on Linux, and something in an imported record.
type logsource struct {
	Category string `yaml:"category"`
	Product  string `yaml:"product"`
	Service  string `yaml:"service"`
}

// parseSigma reads the rules of a YAML stream into d, up to the first that
// cannot be loaded.
func parseSigma(name string, data []byte, opt *Options, d *document) (err error) {
	d.file = name
	if len(data) > maxFile {
		return &Error{File: name, Msg: fmt.Sprintf("larger than %d bytes: not a Sigma rule", maxFile)}
	}
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	for n := 0; ; n++ {
		var doc yaml.Node
		switch err := dec.Decode(&doc); {
		case errors.Is(err, io.EOF) && n == 0:
			return &Error{File: name, Msg: "the file is empty"}
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return &Error{File: name, Msg: strings.TrimPrefix(err.Error(), "yaml: ")}
		case n == maxSigmaDocuments:
			return &Error{File: name, Msg: fmt.Sprintf("more than %d documents", maxSigmaDocuments)}
		}
		r, err := sigmaRule(name, &doc, opt)
		if err != nil {
			return err
		}
		d.rules = append(d.rules, *r)
	}
}

// sigmaParser reads one rule.
type sigmaParser struct {
	file   string
	values int
	groups map[string]*sigmaNode // the named parts of detection
	names  []string              // of groups, in their order
}

// errorAt makes an error with the place of a YAML node.
func (p *sigmaParser) errorAt(n *yaml.Node, format string, args ...any) *Error {
	return &Error{File: p.file, Line: n.Line, Col: n.Column, Msg: fmt.Sprintf(format, args...)}
}

// sigmaRule makes a rule of one document.
func sigmaRule(name string, doc *yaml.Node, opt *Options) (*rule, error) {
	p := &sigmaParser{file: name, groups: map[string]*sigmaNode{}}
	if depth(doc, maxSigmaDepth) > maxSigmaDepth {
		return nil, p.errorAt(doc, "nested more than %d deep", maxSigmaDepth)
	}
	var f sigmaFile
	if err := doc.Decode(&f); err != nil {
		return nil, &Error{File: name, Line: doc.Line, Msg: "no Sigma rule: " + firstLine(strings.TrimPrefix(err.Error(), "yaml: "))}
	}
	switch {
	case f.Correlation.Kind != 0:
		return nil, p.errorAt(doc, "a correlation of other rules: each event is asked by itself here")
	case f.Action != "":
		return nil, p.errorAt(doc, "action %q: rules that share parts are not taken", f.Action)
	case f.Logsource.Category != "network_connection":
		return nil, p.errorAt(doc, "its log source is %s, not category network_connection", f.Logsource)
	case f.Detection.Kind != yaml.MappingNode:
		return nil, p.errorAt(doc, "it has no detection")
	}
	r := &rule{Rule: Rule{ID: sigmaID(&f, name), Title: f.Title, Reason: f.Title, File: name, Line: max(doc.Line, 1), Source: "Sigma"}}
	if f.Author != "" {
		r.Source += ", by " + firstLine(f.Author)
	}
	if r.Title == "" {
		return nil, p.errorAt(doc, "it has no title")
	}
	var err error
	if r.Severity, err = activity.ParseSeverity(f.Level); f.Level != "" && err != nil {
		e := p.errorAt(doc, "level: %s", err)
		e.Near = filter.Nearest(f.Level, activity.Severities())
		return nil, e
	} else if f.Level == "" {
		r.Severity = activity.SeverityMedium
	}
	if r.sigma, err = p.detection(&f.Detection); err != nil {
		return nil, err
	}
	r.kinds = r.sigma.kinds()
	r.hints.Ports = r.sigma.ports(false)
	r.About = "Sigma: " + r.sigma.String()
	r.finish(opt)
	return r, nil
}

// String writes a log source for an error.
func (l logsource) String() string {
	var parts []string
	for _, kv := range [][2]string{{"category", l.Category}, {"product", l.Product}, {"service", l.Service}} {
		if kv[1] != "" {
			parts = append(parts, kv[0]+" "+kv[1])
		}
	}
	if parts == nil {
		return "not stated"
	}
	return strings.Join(parts, ", ")
}

// sigmaID is the rule's own id, which is a UUID, else the file's name.
func sigmaID(f *sigmaFile, name string) string {
	if id := strings.ToLower(f.ID); isID(id) && id != "" {
		return id
	}
	base := name[strings.LastIndexAny(name, `/\`)+1:]
	base = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(base, ".yml"), ".yaml"))
	base = strings.Map(func(r rune) rune {
		if isID(string(r)) {
			return r
		}
		return '-'
	}, base)
	return base[:min(len(base), 64)]
}

// firstLine keeps of a text that comes from outside what fits one line.
func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "..."
	}
	return s
}

// depth measures how deep a node is nested, up to a little over limit. Aliases
// count as what they stand for, so that a document cannot grow by them.
func depth(n *yaml.Node, limit int) (d int) {
	if n == nil || limit < 0 {
		return 1
	}
	for _, c := range n.Content {
		d = max(d, depth(c, limit-1))
	}
	if n.Kind == yaml.AliasNode {
		return limit + 2 // rules have none
	}
	return d + 1
}

// detection reads the named groups, then the condition.
func (p *sigmaParser) detection(n *yaml.Node) (*sigmaNode, error) {
	var condition *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch key.Value {
		case "condition":
			condition = value
		case "timeframe":
			return nil, p.errorAt(key, "a time frame: each event is asked by itself here")
		default:
			g, err := p.group(value)
			if err != nil {
				return nil, err
			}
			if _, twice := p.groups[key.Value]; twice {
				return nil, p.errorAt(key, "%q is there twice", key.Value)
			}
			p.groups[key.Value], p.names = g, append(p.names, key.Value)
		}
	}
	if condition == nil {
		return nil, p.errorAt(n, "detection has no condition")
	}
	return p.condition(condition)
}

// group reads a group: a map is all of its tests, a list any of its maps or
// words.
func (p *sigmaParser) group(n *yaml.Node) (*sigmaNode, error) {
	switch n.Kind {
	case yaml.MappingNode:
		all := &sigmaNode{op: sigmaAnd}
		for i := 0; i+1 < len(n.Content); i += 2 {
			t, err := p.test(n.Content[i], n.Content[i+1])
			if err != nil {
				return nil, err
			}
			all.kids = append(all.kids, t)
		}
		return all, nil
	case yaml.SequenceNode:
		any := &sigmaNode{op: sigmaOr}
		for _, c := range n.Content {
			g, err := p.group(c)
			if err != nil {
				return nil, err
			}
			any.kids = append(any.kids, g)
		}
		return any, nil
	case yaml.ScalarNode:
		if err := p.count(n); err != nil {
			return nil, err
		}
		t := &sigmaTest{field: sigmaKeyword, patterns: []sigmaPattern{newSigmaPattern(n.Value, false).within(true, true)}}
		return &sigmaNode{op: sigmaLeaf, test: t}, nil
	}
	return nil, p.errorAt(n, "a group is a map or a list")
}

// count keeps a rule's values within bounds: each costs a comparison an event.
func (p *sigmaParser) count(n *yaml.Node) error {
	if p.values++; p.values > maxSigmaValues {
		return p.errorAt(n, "more than %d values", maxSigmaValues)
	}
	return nil
}

// sorted is for errors that list what there is.
func sorted(words []string) string {
	words = slices.Clone(words)
	slices.Sort(words)
	return strings.Join(words, ", ")
}
