package filter

import (
	"math"
	"strings"
)

// String returns the canonical form: the same expression with full names,
// absolute times and no needless parentheses. Parse(x.String()) is x again,
// whatever the time and the zone.
func (x *Expr) String() string {
	var b strings.Builder
	x.root.print(&b, opOr)
	return b.String()
}

// print writes n as a part of a node of op outer; opOr never needs parentheses.
func (n *node) print(b *strings.Builder, outer op) {
	switch n.op {
	case opTerm:
		n.term.print(b)
		return
	case opNot:
		b.WriteByte('-')
		n.kids[0].print(b, opNot)
		return
	}
	paren := outer == opNot || outer == opAnd && n.op == opOr
	if paren {
		b.WriteByte('(')
	}
	for i := range n.kids {
		if i > 0 && n.op == opOr {
			b.WriteString(" or ")
		} else if i > 0 {
			b.WriteByte(' ')
		}
		n.kids[i].print(b, n.op)
	}
	if paren {
		b.WriteByte(')')
	}
}

func (t *term) print(b *strings.Builder) {
	if t.field.id != fBare {
		b.WriteString(t.field.name)
		b.WriteString(t.rel.String())
	}
	if t.field.class == classTime {
		b.WriteString(t.interval())
		return
	}
	if t.rel != relMatch && t.rel != relEqual {
		b.WriteString(t.field.unit.format(t.num))
		return
	}
	for i, v := range t.values() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(v)
	}
}

func (t *term) interval() string {
	switch {
	case t.to == math.MaxInt64:
		return formatTime(t.from)
	case t.from == math.MinInt64:
		return formatTime(t.to)
	}
	return formatTime(t.from) + ".." + formatTime(t.to)
}

// values lists a term's values as they are written.
func (t *term) values() (vs []string) {
	switch {
	case t.any:
		return []string{"*"}
	case t.field.class == classWord:
		return t.field.setOf(t.set)
	case t.field.class == classFlag:
		return []string{[]string{"no", "yes"}[t.set>>1&1]}
	}
	for _, s := range t.spans {
		vs = append(vs, formatSpan(s, t.field.unit))
	}
	for i := range t.addrs {
		vs = append(vs, t.addrs[i].String())
	}
	for i := range t.texts {
		vs = append(vs, quote(t.texts[i].text, t.field.id == fBare))
	}
	return vs
}

// quote writes a text value, in quotes when it would not be read back without.
func quote(s string, bare bool) string {
	plain := s != "" && !strings.ContainsAny(s, " \t\r\n,()\"")
	if plain && bare {
		plain = !strings.ContainsAny(s, ":=<>!") && s[0] != '-' && !isKeyword(s)
	}
	if plain {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

func isKeyword(s string) bool {
	switch strings.ToLower(s) {
	case "and", "or", "not", "&&", "||":
		return true
	}
	return false
}
