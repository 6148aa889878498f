package filter

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Parse reads an expression. The empty one matches everything. Every error is
// a *SyntaxError.
//
//	expr    = and { "or" and }
//	and     = not { [ "and" ] not }
//	not     = ( "not" | "-" | "!" ) not | "(" expr ")" | term
//	term    = [ field rel ] value { "," value }
//	rel     = ":" | "=" | "!=" | "<" | "<=" | ">" | ">="
//	value   = text without space, comma, parenthesis or quote | '"' text '"'
//
// In quotes, "" is a quote. The words and, or, not are taken in any case.
func Parse(src string, opt Options) (*Expr, error) {
	if len(src) > maxSource {
		return nil, &SyntaxError{Col: 1, Msg: fmt.Sprintf("the expression is longer than %d KiB", maxSource>>10)}
	}
	p := parser{src: src, c: compiler{opt}}
	root, err := p.or(0)
	if err == nil && p.pos < len(src) {
		err = p.errorf(p.pos, "unexpected %q", src[p.pos:p.pos+1])
	}
	if err != nil {
		return nil, err
	}
	return &Expr{root: root, modules: opt.Modules}, nil
}

// parser walks the source once; pos is a byte offset.
type parser struct {
	src string
	pos int
	c   compiler
}

func (p *parser) errorf(at int, format string, args ...any) error {
	return p.wrap(at, &SyntaxError{Msg: fmt.Sprintf(format, args...)})
}

// wrap gives an error the column of the byte offset.
func (p *parser) wrap(at int, err error) error {
	var s *SyntaxError
	if !errors.As(err, &s) {
		s = &SyntaxError{Msg: err.Error()}
	}
	s.Col = utf8.RuneCountInString(p.src[:at]) + 1
	return s
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (p *parser) space() {
	for p.pos < len(p.src) && isSpace(p.src[p.pos]) {
		p.pos++
	}
}

// keyword takes the keyword, or its symbol, if it comes next.
func (p *parser) keyword(word, symbol string) bool {
	p.space()
	for _, w := range []string{word, symbol} {
		end := p.pos + len(w)
		if w != "" && end <= len(p.src) && strings.EqualFold(p.src[p.pos:end], w) &&
			(end == len(p.src) || isSpace(p.src[end]) || strings.IndexByte("()", p.src[end]) >= 0) {
			p.pos = end
			return true
		}
	}
	return false
}

// peekOr reports whether an "or" comes next, without taking it.
func (p *parser) peekOr() bool {
	was := p.pos
	found := p.keyword("or", "||")
	p.pos = was
	return found
}

func (p *parser) or(depth int) (node, error) {
	kids := []node(nil)
	for {
		n, err := p.and(depth)
		if err != nil {
			return node{}, err
		}
		kids = appendFlat(kids, opOr, n)
		at := p.pos
		if !p.keyword("or", "||") {
			return single(opOr, kids), nil
		}
		if n.op == opAnd && len(n.kids) == 0 {
			return node{}, p.errorf(at, `nothing before "or"`)
		}
		if p.space(); p.pos == len(p.src) || p.src[p.pos] == ')' {
			return node{}, p.errorf(at, `nothing after "or"`)
		}
	}
}

func (p *parser) and(depth int) (node, error) {
	kids := []node(nil)
	for {
		p.space()
		at := p.pos
		joined := p.keyword("and", "&&")
		if joined && len(kids) == 0 {
			return node{}, p.errorf(at, `nothing before "and"`)
		}
		p.space()
		if p.pos == len(p.src) || p.src[p.pos] == ')' || p.peekOr() {
			if joined {
				return node{}, p.errorf(at, `nothing after "and"`)
			}
			return single(opAnd, kids), nil
		}
		n, err := p.not(depth)
		if err != nil {
			return node{}, err
		}
		kids = appendFlat(kids, opAnd, n)
	}
}

func (p *parser) not(depth int) (node, error) {
	at := p.pos
	if depth >= maxDepth {
		return node{}, p.errorf(at, "more than %d levels of parentheses and negations", maxDepth)
	}
	word := p.keyword("not", "")
	if !word && (p.src[p.pos] == '-' || p.src[p.pos] == '!') {
		p.pos++
		switch {
		case p.pos == len(p.src) || isSpace(p.src[p.pos]):
			return node{}, p.errorf(at, "%q needs a term right after it", p.src[at:p.pos])
		case p.src[p.pos] == '-':
			return node{}, p.errorf(at, `"--" is no term: an option goes before the filter, text with dashes in quotes`)
		}
		word = true
	}
	if !word {
		return p.primary(depth)
	}
	if p.space(); p.pos == len(p.src) || p.src[p.pos] == ')' {
		return node{}, p.errorf(at, "nothing after %q", strings.TrimSpace(p.src[at:p.pos]))
	}
	n, err := p.not(depth + 1)
	return negate(n), err
}

func (p *parser) primary(depth int) (node, error) {
	if p.src[p.pos] != '(' {
		return p.term()
	}
	at := p.pos
	p.pos++
	n, err := p.or(depth + 1)
	if err != nil {
		return n, err
	}
	if p.pos == len(p.src) {
		return n, p.errorf(at, "the parenthesis is not closed")
	}
	p.pos++
	if n.op == opAnd && len(n.kids) == 0 {
		return n, p.errorf(at, "the parentheses are empty")
	}
	return n, nil
}

// negate wraps n in a not, or takes one off.
func negate(n node) node {
	if n.op == opNot {
		return n.kids[0]
	}
	return node{op: opNot, kids: []node{n}}
}

// appendFlat appends n to the kids of a node of op o, without nesting o in o.
func appendFlat(kids []node, o op, n node) []node {
	if n.op == o {
		return append(kids, n.kids...)
	}
	return append(kids, n)
}

func single(o op, kids []node) node {
	if len(kids) == 1 {
		return kids[0]
	}
	return node{op: o, kids: kids}
}

// item is one value and where it stands.
type item struct {
	text string
	pos  int
}

// term reads [field rel] value {, value}.
func (p *parser) term() (node, error) {
	start := p.pos
	f, r, err := p.fieldRel()
	if err != nil {
		return node{}, err
	}
	if f == nil {
		return p.bare(start)
	}
	if p.pos == len(p.src) || isSpace(p.src[p.pos]) || p.src[p.pos] == ')' {
		return node{}, p.errorf(p.pos, "%q needs a value right after it", p.src[start:p.pos])
	}
	items, err := p.items()
	if err != nil {
		return node{}, err
	}
	if f.class == classTime {
		p.clock(&items[len(items)-1])
	}
	differ := r == relDiffer
	if differ {
		r = relMatch
	}
	t, bad, err := p.c.term(f, r, items)
	if err != nil {
		return node{}, p.wrap(bad, err)
	}
	n := node{op: opTerm, term: t}
	if differ {
		n = negate(n)
	}
	return n, nil
}

// clock takes the time of day after a day, so that since:yesterday 14:00 needs
// no quotes: a shell would take them away, and a word such as 14:00 could mean
// nothing else.
func (p *parser) clock(day *item) {
	last := day.text[strings.LastIndex(day.text, "..")+1:]
	if !isDay(strings.ToLower(strings.TrimPrefix(last, "."))) {
		return
	}
	at := p.pos
	p.space()
	end := p.pos
	for end < len(p.src) && (p.src[end] == ':' || p.src[end] >= '0' && p.src[end] <= '9') {
		end++
	}
	word := p.src[p.pos:end]
	if p.pos > at && isClock(word) && (end == len(p.src) || isSpace(p.src[end]) || p.src[end] == ')') {
		day.text += " " + word
		p.pos = end
		return
	}
	p.pos = at
}

// fieldRel reads a field and its relation, or nothing when the next word has none.
func (p *parser) fieldRel() (*field, rel, error) {
	rest := p.src[p.pos:]
	i := 0
	for i < len(rest) && (isLetter(rest[i]) || i > 0 && (rest[i] >= '0' && rest[i] <= '9' || strings.IndexByte("._-", rest[i]) >= 0)) {
		i++
	}
	r, n := relAt(rest[i:])
	if n == 0 {
		return nil, 0, nil
	}
	if i == 0 && r != relMatch {
		return nil, 0, p.errorf(p.pos, "%q has no field before it: write it without spaces, as in bytes>1MB", rest[:n])
	}
	if i == 0 || looksLikeAddr(rest) {
		return nil, 0, nil
	}
	f := findField(rest[:i])
	if f == nil {
		return nil, 0, p.wrap(p.pos, p.c.near(fmt.Sprintf("unknown field %s", quoteShort(rest[:i])), rest[:i], fieldNames()))
	}
	p.pos += i + n
	return f, r, nil
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func relAt(s string) (rel, int) {
	for _, r := range []rel{relDiffer, relLessEqual, relMoreEqual, relMatch, relEqual, relLess, relMore} {
		if strings.HasPrefix(s, r.String()) {
			return r, len(r.String())
		}
	}
	return 0, 0
}

// looksLikeAddr tells fe80::1 and face:b00c::1 from a field's name and value.
func looksLikeAddr(s string) bool {
	if i := strings.IndexAny(s, " \t\r\n(),"); i >= 0 {
		s = s[:i]
	}
	p, ok := parseHost(s)
	return ok && p.prefix.IsValid()
}

// bare reads words without a field: each is the term that it looks like.
func (p *parser) bare(start int) (node, error) {
	items, err := p.items()
	if err != nil {
		return node{}, err
	}
	var kids []node
	for _, it := range items {
		t, err := p.c.bare(it.text)
		if err != nil {
			return node{}, p.wrap(start, err)
		}
		// A relation in a plain word is a slip that would silently match nothing.
		if i := strings.IndexAny(it.text, ":=<>!"); i >= 0 && t.field.id == fBare && p.src[it.pos] != '"' {
			return node{}, p.errorf(it.pos+i, "no field before %q: put the word in quotes to search for it", it.text[i:i+1])
		}
		kids = append(kids, node{op: opTerm, term: t})
	}
	return single(opOr, kids), nil
}

// items reads the values of a term.
func (p *parser) items() (items []item, err error) {
	for {
		it := item{pos: p.pos}
		if p.pos < len(p.src) && p.src[p.pos] == '"' {
			it.text, err = p.quoted()
		} else {
			it.text, err = p.plain()
		}
		if err != nil {
			return nil, err
		}
		if len(it.text) > maxItem {
			return nil, p.errorf(it.pos, "the value is longer than %d bytes", maxItem)
		}
		items = append(items, it)
		if p.pos == len(p.src) || p.src[p.pos] != ',' {
			return items, nil
		}
		p.pos++
	}
}

func (p *parser) quoted() (string, error) {
	at := p.pos
	var b strings.Builder
	for p.pos++; ; p.pos++ {
		i := strings.IndexByte(p.src[p.pos:], '"')
		if i < 0 {
			return "", p.errorf(at, "the quote is not closed")
		}
		b.WriteString(p.src[p.pos : p.pos+i])
		p.pos += i + 1
		if p.pos == len(p.src) || p.src[p.pos] != '"' {
			break
		}
		b.WriteByte('"')
	}
	if p.pos < len(p.src) && !isSpace(p.src[p.pos]) && p.src[p.pos] != ',' && p.src[p.pos] != ')' {
		return "", p.errorf(p.pos, "text right after a quote: put all of the value in quotes")
	}
	return b.String(), nil
}

func (p *parser) plain() (string, error) {
	at := p.pos
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case isSpace(c), c == ',', c == ')':
			if p.pos == at {
				return "", p.errorf(at, "a value is missing")
			}
			return p.src[at:p.pos], nil
		case c == '"' || c == '(':
			return "", p.errorf(p.pos, "a %q inside a value: put all of the value in quotes", string(c))
		}
		p.pos++
	}
	if p.pos == at {
		return "", p.errorf(at, "a value is missing")
	}
	return p.src[at:], nil
}

func fieldNames() (names []string) {
	for i := range fields {
		names = append(names, fields[i].name)
	}
	return names
}
