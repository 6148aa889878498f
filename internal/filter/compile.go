package filter

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// compiler turns values into terms.
type compiler struct{ opt Options }

// near makes an error that names the nearest right words, if any are near.
func (c *compiler) near(msg, got string, words []string) error {
	return &SyntaxError{Msg: msg, Near: Nearest(got, words)}
}

// term builds the term of a field; an error comes with the offset of its value.
func (c *compiler) term(f *field, r rel, items []item) (*term, int, error) {
	t := &term{field: f, rel: r}
	ordering := r != relMatch && r != relEqual
	if ordering && f.class != classNumber && f.class != classPort && f.id != fTime {
		return nil, items[0].pos, fmt.Errorf("%q cannot be ordered: want %s:VALUE or %s!=VALUE", f.name, f.name, f.name)
	}
	if len(items) > 1 && (ordering || f.class == classTime || f.class == classFlag) {
		return nil, items[1].pos, fmt.Errorf("%s%s takes one value", f.name, r)
	}
	if f.id == fModule && c.opt.Modules == nil {
		return nil, items[0].pos, errors.New("the loaded modules are not at hand here")
	}
	if f.class != classText && f.class != classTime && r == relEqual {
		t.rel = relMatch
	}
	for _, it := range items {
		if it.text == "*" && !ordering && (f.class == classWord || f.class == classPort || f.class == classAddr || f.class == classNumber) {
			t.any = true
			continue
		}
		if err := c.value(t, it.text); err != nil {
			return nil, it.pos, err
		}
	}
	t.tidy()
	return t, 0, nil
}

// value adds one value to the term.
func (c *compiler) value(t *term, s string) (err error) {
	switch t.field.class {
	case classWord:
		return c.word(t, s)
	case classFlag:
		return c.flag(t, s)
	case classText:
		t.texts = append(t.texts, newPattern(s, t.rel == relEqual))
	case classTime:
		return c.time(t, s)
	case classAddr:
		var p addrPattern
		p, err = c.parseAddr(s)
		t.addrs = append(t.addrs, p)
	default:
		return c.number(t, s)
	}
	return err
}

func (c *compiler) word(t *term, s string) error {
	pat := newPattern(s, t.rel == relEqual)
	words, found := t.field.words(), false
	for i, w := range words {
		if w != "" && pat.match(w, true) {
			t.set |= 1 << i
			found = true
		}
	}
	if found {
		return nil
	}
	msg := fmt.Sprintf("unknown %s %s", t.field.name, quoteShort(s))
	if near := Nearest(s, words); near != nil {
		return &SyntaxError{Msg: msg, Near: near}
	}
	return fmt.Errorf("%s: want %s", msg, orList(t.field.setOf(math.MaxUint64&^absent(words))))
}

// absent is the bit of the empty word, which stands for "none".
func absent(words []string) uint64 {
	if words[0] == "" {
		return 1
	}
	return 0
}

func (c *compiler) flag(t *term, s string) error {
	switch strings.ToLower(s) {
	case "yes", "true", "1", "on":
		t.set = 1 << 1
	case "no", "false", "0", "off":
		t.set = 1 << 0
	default:
		return fmt.Errorf("bad value %s: %s takes yes or no", quoteShort(s), t.field.name)
	}
	return nil
}

func (c *compiler) number(t *term, s string) error {
	ordering := t.rel != relMatch
	if t.field.class == classPort && !ordering {
		sp, err := c.parsePort(s)
		t.spans = append(t.spans, sp)
		return err
	}
	if ordering {
		return c.ordering(t, s)
	}
	sp, ok, err := parseSpan(s, t.field.unit)
	if !ok {
		_, err = t.field.unit.parse(s)
	}
	t.spans = append(t.spans, sp)
	return err
}

func (c *compiler) ordering(t *term, s string) (err error) {
	if t.field.class == classPort {
		var sp span
		if sp, err = c.parsePort(s); err == nil && sp.lo != sp.hi {
			err = fmt.Errorf("%s%s takes one port", t.field.name, t.rel)
		}
		t.num = sp.lo
	} else {
		t.num, err = t.field.unit.parse(s)
	}
	if sp, ok := relSpan(t.rel, t.num); ok {
		t.spans = []span{sp}
	}
	return err
}

// time fills the interval of a time term. since, until and at are "time" with
// a relation in their name.
func (c *compiler) time(t *term, s string) error {
	if named := t.field.id == fAt || t.field.id == fTime && t.rel <= relEqual; !named && strings.Contains(s, "..") {
		return fmt.Errorf("%s takes one time: want at:%s", t.field.name, s)
	}
	from, to, err := parseTime(s, c.opt)
	if err != nil {
		return err
	}
	t.from, t.to = math.MinInt64, math.MaxInt64
	switch {
	case t.field.id == fSince || t.rel == relMoreEqual:
		t.from = from
	case t.field.id == fUntil || t.rel == relLess:
		t.to = from
	case t.rel == relMore:
		t.from = to
	case t.rel == relLessEqual:
		t.to = to
	default:
		t.from, t.to = from, to
	}
	t.field, t.rel = canonicalTime(t.from, t.to)
	return nil
}

// canonicalTime names the field that says an interval.
func canonicalTime(from, to int64) (*field, rel) {
	id := fAt
	if to == math.MaxInt64 {
		id = fSince
	} else if from == math.MinInt64 {
		id = fUntil
	}
	for i := range fields {
		if fields[i].id == id {
			return &fields[i], relMatch
		}
	}
	return nil, relMatch
}

// bare builds the term that a word without a field looks like.
func (c *compiler) bare(s string) (*term, error) {
	if s == "" {
		return nil, errors.New(`an empty value needs a field, as in unit:""`)
	}
	as := func(name, value string) (*term, error) {
		t, _, err := c.term(findField(name), relMatch, []item{{text: value}})
		return t, err
	}
	if sp, ok, err := parseSpan(s, unitCount); ok && err == nil && strings.Trim(s, "0123456789-.") == "" {
		if sp.hi > 65535 {
			return as("pid", s)
		}
		return as("port", s)
	}
	if _, err := c.parseAddr(s); err == nil && parseScope(s) == scopeNone && s != "*" {
		return as("ip", s)
	}
	for _, name := range []string{"kind", "proto"} {
		if f := findField(name); !strings.ContainsAny(s, "*?[") {
			if t, _, err := c.term(f, relMatch, []item{{text: s}}); err == nil {
				return t, nil
			}
		}
	}
	pat := newPattern(s, false)
	if n, ok := c.service(s); ok {
		pat.spans = []span{{uint64(n), uint64(n)}}
	}
	return &term{field: bareField(), texts: []pattern{pat}}, nil
}

// tidy puts the values in their canonical form.
func (t *term) tidy() {
	if t.any {
		t.set, t.spans, t.addrs = 0, nil, nil
		return
	}
	if t.rel != relMatch || len(t.spans) < 2 {
		return
	}
	slices.SortFunc(t.spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.lo, b.lo), cmp.Compare(a.hi, b.hi)) })
	merged := t.spans[:1]
	for _, s := range t.spans[1:] {
		last := &merged[len(merged)-1]
		if s.lo > last.hi && s.lo-1 > last.hi {
			merged = append(merged, s)
		} else {
			last.hi = max(last.hi, s.hi)
		}
	}
	t.spans = merged
}
