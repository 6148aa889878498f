package interest

import (
	"math/bits"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
)

// Set is a set of rules. It is immutable, and safe for concurrent use as far as
// the functions in its Options are.
type Set struct {
	rules  []rule
	opt    Options
	index  *index
	widens bool // a rule is about listeners that open further
}

// newSet compiles the rules.
func newSet(rules []rule, opt Options) *Set {
	return &Set{rules: rules, opt: opt, index: newIndex(rules),
		widens: slices.ContainsFunc(rules, func(r rule) bool { return r.special == widened })}
}

// Rules lists the rules in the order in which they are asked. The caller owns
// the result.
func (s *Set) Rules() []Rule {
	all := make([]Rule, len(s.rules))
	for i := range s.rules {
		all[i] = s.rules[i].Rule
	}
	return all
}

// Hosts lists the names that rules are about, once each: who gives Names looks
// these up. Those that begin with "*." can only be found the other way round.
func (s *Set) Hosts() (names []string) {
	for i := range s.rules {
		names = append(names, s.rules[i].hosts...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Matcher returns a new matcher of the set.
func (s *Set) Matcher() *Matcher {
	m := &Matcher{set: s, owners: map[imageKey]ruleSet{}, nobody: newRuleSet(len(s.rules)), scratch: newRuleSet(len(s.rules))}
	m.ask(nil, m.nobody)
	return m
}

// The most process images that a matcher remembers the rules of. When there are
// more it starts over: it can be worked out again.
const maxImages = 4096

// Matcher asks a set of one event or socket after another. What it remembers is
// bounded. It is not safe for concurrent use.
type Matcher struct {
	set     *Set
	owners  map[imageKey]ruleSet // rules that a process may match
	nobody  ruleSet              // the same of none that is known
	scratch ruleSet
	scopes  scopes

	last    *activity.Process // whose rules lastSet is
	lastSet ruleSet
}

// imageKey names what is known of a program image: a later revision knows more,
// and may match other rules.
type imageKey struct {
	id  activity.ProcessID
	rev uint32
}

// Event appends to found what the rules say of e. It allocates only for what it
// finds, and for a process that it meets for the first time. Events are to come
// in their order: a listener that opens further is known by the one before.
func (m *Matcher) Event(e *activity.Event, found []activity.Finding) []activity.Finding {
	if e.Kind.Coverage() || len(m.set.rules) == 0 {
		return found
	}
	var wider change
	if m.set.widens {
		wider = m.scopes.see(e, m.set.opt.Baseline)
	}
	return m.find(e, nil, wider, found)
}

// Socket appends to found what the rules say of a socket that is open, as if
// it were opening now.
func (m *Matcher) Socket(s *activity.Socket, found []activity.Finding) []activity.Finding {
	if len(m.set.rules) == 0 {
		return found
	}
	e := s.Opening()
	return m.find(&e, s, change{}, found)
}

// find asks the rules that the index leaves.
func (m *Matcher) find(e *activity.Event, s *activity.Socket, wider change, found []activity.Finding) []activity.Finding {
	x := m.set.index
	owner, kind := m.owner(e.Process), x.kinds[e.Kind]
	local, remote := x.ports.at(e.Local.Port()), x.ports.at(e.Remote.Port())
	var here, there ruleSet // by address: looked up if need be
	for i := range kind {
		w := kind[i] & owner[i] & (local[i] | remote[i])
		if w == 0 {
			continue
		}
		if here == nil {
			here, there = x.addrs.at(e.Local.Addr()), x.addrs.at(e.Remote.Addr())
		}
		for w &= here[i] | there[i]; w != 0; w &= w - 1 {
			r := &m.set.rules[i*64+bits.TrailingZeros64(w)]
			if r.match(e, s, &m.set.opt, wider.wider()) {
				found = append(found, r.finding(e, &m.set.opt, wider))
			}
		}
	}
	return found
}

// owner returns the rules that something of p's may match.
func (m *Matcher) owner(p *activity.Process) ruleSet {
	switch {
	case p == nil || p.Name == "" && p.Exe == "" && p.Key.IsZero(): // or the stub of a lost record
		return m.nobody
	case p == m.last:
		return m.lastSet
	case p.ID == 0: // an import's, which nothing tells apart
		m.ask(p, m.scratch)
		return m.scratch
	}
	key := imageKey{p.ID, p.Rev}
	set, ok := m.owners[key]
	if !ok {
		if len(m.owners) >= maxImages {
			clear(m.owners)
		}
		set = newRuleSet(len(m.set.rules))
		m.ask(p, set)
		m.owners[key] = set
	}
	m.last, m.lastSet = p, set
	return set
}

// ask works out which rules something of p's may match.
func (m *Matcher) ask(p *activity.Process, into ruleSet) {
	clear(into)
	for i := range m.set.rules {
		if m.set.rules[i].mayOwn(p, &m.set.opt) {
			into.set(i)
		}
	}
}

// finding puts what was found in words: a rule's own reason, and for the
// conditions that have more to tell, that.
func (r *rule) finding(e *activity.Event, opt *Options, c change) activity.Finding {
	f := activity.Finding{Rule: r.ID, Severity: r.Severity, Reason: r.Reason}
	detail := ""
	switch r.special {
	case worldWritable:
		detail = e.Process.Exe
	case widened:
		detail = c.String()
	case unpackagedModule:
		if mod := foreignModule(e.Process, opt.modules); mod != nil {
			detail = mod.Path
		}
	}
	if detail != "" {
		f.Reason += ": " + detail
	}
	return f
}
