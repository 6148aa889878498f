package interest

import (
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// sigmaNode is a node of a rule's condition. A group that the condition names
// is its own node, shared by all places that name it.
type sigmaNode struct {
	op   sigmaOp
	kids []*sigmaNode
	test *sigmaTest // of a leaf
}

type sigmaOp uint8

const (
	sigmaAnd sigmaOp = iota // true without kids
	sigmaOr                 // false without kids
	sigmaNot
	sigmaLeaf
)

// match asks the condition of an event, from left to right, as far as need be.
func (n *sigmaNode) match(e *activity.Event, opt *Options) bool {
	switch n.op {
	case sigmaLeaf:
		return n.test.match(e, opt)
	case sigmaNot:
		return !n.kids[0].match(e, opt)
	}
	any := n.op == sigmaOr
	for _, k := range n.kids {
		if k.match(e, opt) == any {
			return any
		}
	}
	return !any
}

// mayOwn reports whether the node, or its negation, may be true of an event of
// process p, as filter.Expr.MayOwn does.
func (n *sigmaNode) mayOwn(p *activity.Process, not bool) bool {
	switch n.op {
	case sigmaLeaf:
		return !n.test.field.ofOwner() || n.test.match(&activity.Event{Process: p}, &Options{}) != not
	case sigmaNot:
		return n.kids[0].mayOwn(p, !not)
	}
	any := (n.op == sigmaOr) != not
	for _, k := range n.kids {
		if k.mayOwn(p, not) == any {
			return any
		}
	}
	return !any
}

// kinds are the kinds that such a rule is about: what Sysmon writes an event 3
// for.
func (n *sigmaNode) kinds() filter.KindSet {
	return kindSet(activity.KindConnect, activity.KindAccept, activity.KindFlow)
}

// ports gives ranges of which one of the ports must be in one; nil for any.
func (n *sigmaNode) ports(not bool) (best []filter.PortRange) {
	switch {
	case n.op == sigmaLeaf && !not:
		return n.test.ports
	case n.op == sigmaLeaf:
		return nil
	case n.op == sigmaNot:
		return n.kids[0].ports(!not)
	case (n.op == sigmaOr) != not: // one of the kids suffices
		for _, k := range n.kids {
			ps := k.ports(not)
			if ps == nil {
				return nil
			}
			best = append(best, ps...)
		}
		return best
	}
	for _, k := range n.kids {
		if ps := k.ports(not); ps != nil && (best == nil || len(ps) < len(best)) {
			best = ps
		}
	}
	return best
}

// needsNames reports whether any test is about a host name, which is no part of
// the record.
func (n *sigmaNode) needsNames() bool {
	if n.op == sigmaLeaf {
		return n.test.field == sigmaSourceHostname || n.test.field == sigmaDestinationHostname
	}
	for _, k := range n.kids {
		if k.needsNames() {
			return true
		}
	}
	return false
}

// String prints the condition in Sigma's manner.
func (n *sigmaNode) String() string {
	var parts []string
	for _, k := range n.kids {
		parts = append(parts, k.String())
	}
	switch n.op {
	case sigmaLeaf:
		return n.test.String()
	case sigmaNot:
		return "not " + parts[0]
	case sigmaOr:
		return "(" + strings.Join(parts, " or ") + ")"
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return "(" + strings.Join(parts, " and ") + ")"
}

// condition reads a condition, or a list of them, of which any suffices:
//
//	or      = and { "or" and }
//	and     = not { "and" not }
//	not     = "not" not | "(" or ")" | ( "1" | "any" | "all" ) "of" ( "them" | name ) | name
//
// After "of" a name may have wildcards. "them" are all groups whose names do not
// begin with "_".
func (p *sigmaParser) condition(n *yaml.Node) (*sigmaNode, error) {
	if n.Kind == yaml.SequenceNode {
		any := &sigmaNode{op: sigmaOr}
		for _, c := range n.Content {
			one, err := p.condition(c)
			if err != nil {
				return nil, err
			}
			any.kids = append(any.kids, one)
		}
		if any.kids == nil {
			return nil, p.errorAt(n, "the condition is empty")
		}
		return any, nil
	}
	if n.Kind != yaml.ScalarNode {
		return nil, p.errorAt(n, "the condition is no text")
	}
	c := &condParser{p: p, at: n, words: tokens(n.Value)}
	x, err := c.or(0)
	if err == nil && len(c.words) > 0 {
		what := c.words[0]
		if what == "|" {
			return nil, p.errorAt(n, "condition: an aggregation: each event is asked by itself here")
		}
		err = p.errorAt(n, "condition: unexpected %q", what)
	}
	return x, err
}

// tokens splits a condition into words and the signs ( ) |.
func tokens(s string) (words []string) {
	for _, sign := range []string{"(", ")", "|"} {
		s = strings.ReplaceAll(s, sign, " "+sign+" ")
	}
	return strings.Fields(s)
}

type condParser struct {
	p     *sigmaParser
	at    *yaml.Node
	words []string // left
}

// take takes the next word if it is that one, in any case.
func (c *condParser) take(word string) bool {
	if len(c.words) == 0 || !strings.EqualFold(c.words[0], word) {
		return false
	}
	c.words = c.words[1:]
	return true
}

// or, list, not, name and of are the grammar above, a function for each line.
func (c *condParser) or(depth int) (*sigmaNode, error) {
	return c.list("or", sigmaOr, func() (*sigmaNode, error) {
		return c.list("and", sigmaAnd, func() (*sigmaNode, error) { return c.not(depth) })
	})
}

func (c *condParser) list(word string, op sigmaOp, one func() (*sigmaNode, error)) (*sigmaNode, error) {
	n := &sigmaNode{op: op}
	for {
		k, err := one()
		if err != nil {
			return nil, err
		}
		n.kids = append(n.kids, k)
		if !c.take(word) {
			break
		}
	}
	if len(n.kids) == 1 {
		return n.kids[0], nil
	}
	return n, nil
}

func (c *condParser) not(depth int) (*sigmaNode, error) {
	switch {
	case depth > maxSigmaDepth:
		return nil, c.p.errorAt(c.at, "condition: nested more than %d deep", maxSigmaDepth)
	case len(c.words) == 0:
		return nil, c.p.errorAt(c.at, "condition: something is missing at its end")
	case c.take("not"):
		k, err := c.not(depth + 1)
		return &sigmaNode{op: sigmaNot, kids: []*sigmaNode{k}}, err
	case c.take("("):
		n, err := c.or(depth + 1)
		if err == nil && !c.take(")") {
			err = c.p.errorAt(c.at, "condition: a parenthesis is not closed")
		}
		return n, err
	case len(c.words) > 2 && strings.EqualFold(c.words[1], "of"):
		return c.of(c.words[0], c.words[2])
	}
	return c.name()
}

func (c *condParser) name() (*sigmaNode, error) {
	name := c.words[0]
	g, ok := c.p.groups[name]
	if !ok {
		e := c.p.errorAt(c.at, "condition: there is no %q in the detection: it has %s", name, sorted(c.p.names))
		e.Near = filter.Nearest(name, c.p.names)
		return nil, e
	}
	c.words = c.words[1:]
	return g, nil
}

// of reads "1 of filter_*".
func (c *condParser) of(quantity, which string) (*sigmaNode, error) {
	n := &sigmaNode{op: sigmaOr}
	switch strings.ToLower(quantity) {
	case "1", "any":
	case "all":
		n.op = sigmaAnd
	default:
		return nil, c.p.errorAt(c.at, "condition: %q of: want 1, any or all", quantity)
	}
	for _, name := range c.p.names {
		ok, err := path.Match(which, name)
		if strings.EqualFold(which, "them") {
			ok, err = !strings.HasPrefix(name, "_"), nil
		}
		if err != nil {
			return nil, c.p.errorAt(c.at, "condition: %s: %s", which, err)
		}
		if ok {
			n.kids = append(n.kids, c.p.groups[name])
		}
	}
	if n.kids == nil {
		return nil, c.p.errorAt(c.at, "condition: nothing in the detection is called %s: it has %s", which, sorted(c.p.names))
	}
	c.words = c.words[3:]
	return n, nil
}

// String writes a test as a rule has it, for people.
func (t *sigmaTest) String() string {
	return fmt.Sprintf("%s%s: %s", t.field, t.mod, t.text)
}
