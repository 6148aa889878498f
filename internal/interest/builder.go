package interest

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// The bounds of what is read as rules.
const (
	maxFile   = 1 << 20 // bytes
	maxRules  = 4096    // in a set
	maxValues = 4096    // in a list
)

// Error says what is wrong with a rule, and where.
type Error struct {
	File      string
	Line, Col int // from 1; 0 unknown
	Msg       string
	Near      []string // the nearest right words, best first
}

func (e *Error) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", at, e.Line)
		if e.Col > 0 {
			at = fmt.Sprintf("%s:%d", at, e.Col)
		}
	}
	msg := e.Msg
	if len(e.Near) > 0 {
		msg += fmt.Sprintf("; did you mean %q?", e.Near[0])
	}
	return strings.Map(func(r rune) rune { // what it quotes may hold anything
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, at+": "+msg)
}

// Builder collects rules into a Set. After an error it holds what it held before.
type Builder struct {
	opt     Options
	rules   []rule
	disable []disabled
	sigma   []string
	starter bool
}

// disabled is a rule that a file says is not wanted.
type disabled struct {
	id        string
	file      string
	line, col int
}

// NewBuilder returns a builder without rules.
func NewBuilder(opt Options) *Builder {
	if opt.Filter.Modules == nil {
		opt.Filter.Modules = func(activity.ModuleSetID) *activity.ModuleSet { return nil }
	}
	return &Builder{opt: opt, starter: true}
}

// starterFile is what errors call the starter rules, and their ids begin with
// starterPrefix.
const (
	starterFile   = "starter.toml"
	starterPrefix = "starter."
)

//go:embed starter.toml
var starterRules []byte

// AddStarter adds the rules that the program brings along, unless a file that
// was added said that they are not wanted.
func (b *Builder) AddStarter() error {
	if !b.starter {
		return nil
	}
	d, err := parseFile(starterFile, starterRules, &b.opt)
	if err != nil {
		return err
	}
	for i := range d.rules {
		d.rules[i].File = ""
	}
	return b.take(d)
}

// Add adds the rules of a TOML file; name is how errors call it. Every error is
// an *Error.
func (b *Builder) Add(name string, data []byte) error {
	d, err := parseFile(name, data, &b.opt)
	if err != nil {
		return err
	}
	if err := b.take(d); err != nil {
		return err
	}
	b.disable, b.sigma = append(b.disable, d.disable...), append(b.sigma, d.sigma...)
	b.starter = b.starter && d.starter
	return nil
}

// Sigma lists the files and directories of Sigma rules that the files added
// ask for, as they are written there.
func (b *Builder) Sigma() []string { return slices.Clone(b.sigma) }

// AddSigma adds a rule as SigmaHQ publishes them, or several in one YAML
// stream; name is how errors call the file. Every error is an *Error that says
// why a rule cannot be asked of what Port Reporter records; the rules before it
// are added.
func (b *Builder) AddSigma(name string, data []byte) error {
	d := &document{}
	err := parseSigma(name, data, &b.opt, d)
	if taken := b.take(d); taken != nil {
		return taken
	}
	return err
}

// take adds rules whose ids are not taken.
func (b *Builder) take(d *document) error {
	rules := b.rules
	for i := range d.rules {
		r := &d.rules[i]
		if j := slices.IndexFunc(rules, func(o rule) bool { return o.ID == r.ID }); j >= 0 {
			where := "the starter rules"
			if rules[j].File != "" {
				where = fmt.Sprintf("%s:%d", rules[j].File, rules[j].Line)
			}
			return &Error{File: d.file, Line: r.Line, Msg: fmt.Sprintf("the id %q is taken, by %s", r.ID, where)}
		}
		if len(rules) >= maxRules {
			return &Error{File: d.file, Line: r.Line, Msg: fmt.Sprintf("more than %d rules", maxRules)}
		}
		rules = append(rules, *r)
	}
	b.rules = rules
	return nil
}

// Set returns the rules collected, without those that were disabled. The error
// is an *Error about one that is disabled and does not exist.
func (b *Builder) Set() (*Set, error) {
	ids := make([]string, len(b.rules))
	for i := range b.rules {
		ids[i] = b.rules[i].ID
	}
	off := map[string]bool{}
	for _, d := range b.disable {
		if !slices.Contains(ids, d.id) && b.starter {
			return nil, &Error{File: d.file, Line: d.line, Col: d.col, Msg: fmt.Sprintf("there is no rule %q to disable", d.id), Near: filter.Nearest(d.id, ids)}
		}
		off[d.id] = true
	}
	return newSet(slices.DeleteFunc(slices.Clone(b.rules), func(r rule) bool { return off[r.ID] }), b.opt), nil
}

// finish completes a rule whose parts are read.
func (r *rule) finish(opt *Options) {
	if r.expr != nil {
		r.hints = r.expr.Hints()
	}
	if k := r.special.kinds(); k != 0 {
		r.kinds = k
	}
	if r.Reason == "" {
		r.Reason = r.Title
	}
	var needs []string
	if opt.Baseline == nil && (r.special == newListener || r.special == newDestination) {
		needs = append(needs, "a baseline")
	}
	anyName := slices.ContainsFunc(r.hosts, func(h string) bool { return strings.HasPrefix(h, "*.") }) || r.sigma != nil && r.sigma.needsNames()
	if opt.Names == nil && r.hosts != nil || !opt.AllNames && anyName {
		needs = append(needs, "names of addresses")
	}
	if opt.Writable == nil && r.special == worldWritable {
		needs = append(needs, "the live machine")
	}
	r.Needs = strings.Join(needs, ", ")
}
