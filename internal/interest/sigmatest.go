package interest

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// sigmaTest compares one field with values: any of them, or all.
type sigmaTest struct {
	field sigmaField
	mod   string // as written: "|contains|all"
	text  string // the values, for people
	all   bool

	// One of these holds what is compared with.
	patterns []sigmaPattern
	ports    []filter.PortRange // of a port field with plain numbers; patterns too
	nets     []netip.Prefix     // cidr
	exprs    []*regexp.Regexp   // re
	exists   int                // 1 the field has a value, -1 it has none
}

// sigmaModifiers are the modifiers that are understood.
func sigmaModifiers() []string {
	return []string{"contains", "startswith", "endswith", "all", "cidr", "re", "exists", "cased", "windash", "gt", "gte", "lt", "lte", "expand"}
}

// test reads one key of a group, as "Image|endswith", and its values.
func (p *sigmaParser) test(key, value *yaml.Node) (*sigmaNode, error) {
	name, mods, _ := strings.Cut(key.Value, "|")
	i := slices.Index(sigmaFieldNames(), name)
	if i < int(sigmaImage) {
		e := p.errorAt(key, "the field %q is not on record", name)
		e.Near = nearestField(name)
		return nil, e
	}
	t := &sigmaTest{field: sigmaField(i)}
	if mods != "" {
		t.mod = "|" + mods
	}
	values := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		values = value.Content
	}
	if len(values) == 0 {
		return nil, p.errorAt(value, "%s: the list is empty", key.Value)
	}
	var texts []string
	for _, v := range values {
		if v.Kind != yaml.ScalarNode {
			return nil, p.errorAt(v, "%s: want a text or a list of texts", key.Value)
		}
		if err := p.count(v); err != nil {
			return nil, err
		}
		if err := p.value(t, key, strings.Split(mods, "|"), v); err != nil {
			return nil, err
		}
		texts = append(texts, strconv.Quote(v.Value))
	}
	t.text = strings.Join(texts, " or ")
	if t.all {
		t.text = strings.Join(texts, " and ")
	}
	t.numeric()
	return &sigmaNode{op: sigmaLeaf, test: t}, nil
}

// nearestField gives the field that was meant, as it is written.
func nearestField(name string) (near []string) {
	lower := strings.ToLower(strings.Join(sigmaFieldNames(), " "))
	for _, n := range filter.Nearest(name, strings.Fields(lower)[1:]) {
		near = append(near, sigmaFieldNames()[slices.Index(strings.Fields(lower), n)])
	}
	return near
}

// value adds one value to a test.
func (p *sigmaParser) value(t *sigmaTest, key *yaml.Node, mods []string, v *yaml.Node) error {
	before, after, cased, dashes := false, false, false, false
	text := v.Value
	for _, m := range mods {
		switch m {
		case "":
		case "contains":
			before, after = true, true
		case "startswith":
			after = true
		case "endswith":
			before = true
		case "all":
			t.all = true
		case "cased":
			cased = true
		case "windash":
			dashes = true
		case "expand":
			if strings.Count(text, "%") >= 2 {
				return p.errorAt(v, "%s: the placeholder in %q has no value here", key.Value, text)
			}
		case "cidr", "re", "exists", "gt", "gte", "lt", "lte":
			return p.special(t, key, m, mods, v)
		default:
			e := p.errorAt(key, "unknown modifier %q of %s", m, t.field)
			e.Near = filter.Nearest(strings.ToLower(m), sigmaModifiers())
			return e
		}
	}
	if v.Tag == "!!null" {
		t.patterns = append(t.patterns, sigmaPattern{null: true})
		return nil
	}
	for _, s := range dashed(text, dashes) {
		t.patterns = append(t.patterns, newSigmaPattern(s, cased).within(before, after))
	}
	return nil
}

// dashed gives a text with each kind of dash that Windows programs take for
// options (Sigma's modifier windash).
func dashed(text string, wanted bool) []string {
	if !wanted {
		return []string{text}
	}
	var all []string
	for _, dash := range []string{"-", "/", "\u2013", "\u2014", "\u2015"} {
		s := strings.ReplaceAll(text, " -", " "+dash)
		if rest, ok := strings.CutPrefix(s, "-"); ok {
			s = dash + rest
		}
		all = append(all, s)
	}
	return all
}

// special adds a value that is no text to compare with.
func (p *sigmaParser) special(t *sigmaTest, key *yaml.Node, mod string, mods []string, v *yaml.Node) error {
	switch mod {
	case "cidr":
		net, err := parsePrefix(v.Value)
		if err != nil || !t.field.isIP() {
			return p.errorAt(v, "%s: %q is no network of an address", key.Value, v.Value)
		}
		t.nets = append(t.nets, net)
	case "re":
		flags := "" // re|i, re|m and re|s
		for _, f := range []string{"i", "m", "s"} {
			if slices.Contains(mods, f) {
				flags += "(?" + f + ")"
			}
		}
		x, err := regexp.Compile(flags + v.Value)
		if err != nil {
			return p.errorAt(v, "%s: %s", key.Value, err)
		}
		t.exprs = append(t.exprs, x)
	case "exists":
		yes, err := strconv.ParseBool(v.Value)
		if err != nil {
			return p.errorAt(v, "%s: want true or false", key.Value)
		}
		if t.exists = -1; yes {
			t.exists = 1
		}
	default:
		return p.ordering(t, key, mod, v)
	}
	return nil
}

// ordering adds a comparison of ports.
func (p *sigmaParser) ordering(t *sigmaTest, key *yaml.Node, mod string, v *yaml.Node) error {
	n, err := strconv.ParseUint(v.Value, 10, 16)
	if err != nil || !t.field.isPort() {
		return p.errorAt(v, "%s: only ports are compared so, with a number", key.Value)
	}
	r := filter.PortRange{Lo: 0, Hi: 65535}
	switch {
	case mod == "gte":
		r.Lo = uint16(n)
	case mod == "lte":
		r.Hi = uint16(n)
	case mod == "gt" && n < 65535:
		r.Lo = uint16(n) + 1
	case mod == "lt" && n > 0:
		r.Hi = uint16(n) - 1
	default:
		return p.errorAt(v, "%s: no port is", key.Value)
	}
	t.ports = append(t.ports, r)
	return nil
}

// numeric turns plain numbers of a port field into ranges, which are compared
// without making texts of them, and which the index knows.
func (t *sigmaTest) numeric() {
	if !t.field.isPort() || t.all || len(t.patterns) == 0 {
		return
	}
	var ports []filter.PortRange
	for i := range t.patterns {
		n, err := strconv.ParseUint(string(t.patterns[i].elems), 10, 16)
		if err != nil || n == 0 {
			return
		}
		ports = append(ports, filter.PortRange{Lo: uint16(n), Hi: uint16(n)})
	}
	t.ports, t.patterns = ports, nil
}

// match compares the field of an event. Ports and networks are compared as what
// they are; all else as text, which is made when it comes to it: few events get
// here.
func (t *sigmaTest) match(e *activity.Event, opt *Options) bool {
	switch {
	case t.field == sigmaKeyword:
		for _, f := range sigmaTexts() {
			if v, has := f.value(e); has && t.texts(v, true) {
				return true
			}
		}
		return false
	case t.field == sigmaSourceHostname || t.field == sigmaDestinationHostname:
		names := t.field.names(e, opt)
		for _, v := range names {
			if t.texts(v, true) {
				return true
			}
		}
		return len(names) == 0 && t.texts("", false)
	case t.ports != nil:
		return within(t.ports, t.field.end(e).Port())
	case t.nets != nil:
		a := t.field.end(e).Addr().WithZone("")
		return slices.ContainsFunc(t.nets, func(n netip.Prefix) bool { return n.Contains(a) })
	}
	return t.texts(t.field.value(e))
}

// within reports whether a port is in one of the ranges. Port 0 is none.
func within(ranges []filter.PortRange, p uint16) bool {
	return p != 0 && slices.ContainsFunc(ranges, func(r filter.PortRange) bool { return r.Lo <= p && p <= r.Hi })
}

// texts compares a value with the patterns and expressions.
func (t *sigmaTest) texts(v string, has bool) bool {
	if t.exists != 0 {
		return has == (t.exists > 0)
	}
	for _, x := range t.exprs {
		if has && x.MatchString(v) != t.all {
			return !t.all
		}
	}
	lower := v
	if has && len(t.patterns) > 0 {
		lower = strings.ToLower(v)
	}
	for i := range t.patterns {
		p := &t.patterns[i]
		text := lower
		if p.cased {
			text = v
		}
		if p.match(text, has) != t.all {
			return !t.all
		}
	}
	return t.all && (has || len(t.exprs) == 0)
}

// sigmaPattern is a text with wildcards: "*" any run of characters, "?" one. Of
// backslashes before one of these, two stand for one, and an odd one takes the
// wildcard's meaning away; elsewhere a backslash is itself.
type sigmaPattern struct {
	elems []rune // in lower case unless cased
	cased bool
	null  bool // the field has no value
}

// What a wildcard is in elems: no character has these numbers.
const (
	anyRun rune = -1
	anyOne rune = -2
)

// newSigmaPattern prepares a text as a rule has it, in lower case unless cased.
// Neighbouring stars are one, so that matching cannot take exponential time.
func newSigmaPattern(s string, cased bool) sigmaPattern {
	p := sigmaPattern{cased: cased}
	if !cased {
		s = strings.ToLower(s)
	}
	for s != "" {
		n := len(s) - len(strings.TrimLeft(s, `\`))
		if wild := s[n:]; wild != "" && (wild[0] == '*' || wild[0] == '?') {
			p.literal(s[:n/2])
			if n%2 == 1 { // the last one is the wildcard's
				p.literal(wild[:1])
				s = wild[1:]
				continue
			}
			s = wild
		} else {
			p.literal(s[:n])
			s = s[n:]
		}
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case n == 0:
		case r == '*' && len(p.elems) > 0 && p.elems[len(p.elems)-1] == anyRun:
		case r == '*':
			p.elems = append(p.elems, anyRun)
		case r == '?':
			p.elems = append(p.elems, anyOne)
		default:
			p.elems = append(p.elems, r)
		}
		s = s[n:]
	}
	return p
}

// within lets anything stand before or after. It is not written as a star in the
// text: that may end in a backslash, as directories do.
func (p sigmaPattern) within(before, after bool) sigmaPattern {
	if before {
		p.elems = append([]rune{anyRun}, p.elems...)
	}
	if after {
		p.elems = append(p.elems, anyRun)
	}
	return p
}

func (p *sigmaPattern) literal(s string) { p.elems = append(p.elems, []rune(s)...) }

// match reports whether all of v matches; has says that there is a v. It goes
// back to the last star alone, which is enough, and costs at most the product
// of the two lengths.
func (p *sigmaPattern) match(v string, has bool) bool {
	if p.null || !has {
		return !has && (p.null || len(p.elems) == 0)
	}
	star, mark := -1, 0
	i, at := 0, 0
	for at < len(v) {
		r, n := utf8.DecodeRuneInString(v[at:])
		switch {
		case i < len(p.elems) && p.elems[i] == anyRun:
			i++
			star, mark = i, at
			continue
		case i < len(p.elems) && (p.elems[i] == r || p.elems[i] == anyOne):
			i++
			at += n
			continue
		case star < 0:
			return false
		}
		_, n = utf8.DecodeRuneInString(v[mark:])
		mark += n
		i, at = star, mark
	}
	for i < len(p.elems) && p.elems[i] == anyRun {
		i++
	}
	return i == len(p.elems)
}
