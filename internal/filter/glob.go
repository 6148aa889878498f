package filter

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// pattern is one text value. Wildcards: "*" any run of characters, also of "/";
// "?" one character; "[a-z]" one of a class, "[!a-z]" one outside it. A "[" that
// no "]" closes is an ordinary character, and so is a backslash: Windows paths
// are written as they are, and a literal star is "[*]".
type pattern struct {
	text  string
	shape shape
	core  string // text without the stars of its shape
	path  bool   // text has a path separator
	num   uint64 // text as a number
	isNum bool
	spans []span // fBare: the port of that service name
}

// shape is which fast path matches the pattern.
type shape uint8

const (
	shapeExact    shape = iota
	shapePrefix         // core*
	shapeSuffix         // *core
	shapeContains       // *core*
	shapeAny            // *
	shapeGlob           // all else
)

// newPattern prepares text; when exact it has no wildcards.
func newPattern(text string, exact bool) pattern {
	p := pattern{text: text, core: text, path: strings.ContainsAny(text, `/\`)}
	p.num, p.isNum = parseDecimal(text)
	if exact || !strings.ContainsAny(text, "*?[") {
		return p
	}
	p.core = strings.Trim(text, "*")
	head, tail := strings.HasPrefix(text, "*"), strings.HasSuffix(text, "*")
	switch {
	case strings.ContainsAny(p.core, "*?["):
		p.shape = shapeGlob
	case p.core == "":
		p.shape = shapeAny
	case head && tail:
		p.shape = shapeContains
	case head:
		p.shape = shapeSuffix
	default:
		p.shape = shapePrefix
	}
	return p
}

// match reports whether all of v matches. An absent value, "", matches only
// the empty pattern, so that "*" asks whether there is one.
func (p *pattern) match(v string, fold bool) bool {
	if v == "" {
		return p.text == ""
	}
	switch p.shape {
	case shapeExact:
		return v == p.core || fold && strings.EqualFold(v, p.core)
	case shapeAny:
		return true
	case shapeGlob:
		return glob(p.text, v, fold)
	}
	if fold && !(ascii(v) && ascii(p.core)) {
		return glob(p.text, v, fold) // a letter and its other case may differ in length
	}
	switch p.shape {
	case shapePrefix:
		return len(v) >= len(p.core) && equal(v[:len(p.core)], p.core, fold)
	case shapeSuffix:
		return len(v) >= len(p.core) && equal(v[len(v)-len(p.core):], p.core, fold)
	}
	return contains(v, p.core, fold)
}

// matchPath matches a path, or its last component when the pattern has no
// separator. Case counts, except in Windows paths.
func (p *pattern) matchPath(v string) bool {
	slash := strings.LastIndexByte(v, '\\')
	fold := slash >= 0
	if p.match(v, fold) {
		return true
	}
	if p.path {
		return false
	}
	if i := strings.LastIndexByte(v, '/'); i > slash {
		slash = i
	}
	return slash >= 0 && p.match(v[slash+1:], fold)
}

func equal(a, b string, fold bool) bool { return a == b || fold && strings.EqualFold(a, b) }

func contains(v, part string, fold bool) bool {
	if !fold {
		return strings.Contains(v, part)
	}
	for i := 0; i+len(part) <= len(v); i++ {
		if strings.EqualFold(v[i:i+len(part)], part) {
			return true
		}
	}
	return false
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// glob matches v against pat, backtracking to the last star only, which is
// enough and costs at most len(pat) x len(v).
func glob(pat, v string, fold bool) bool {
	star, mark := -1, 0 // where to go on after a mismatch: pattern past the star, text
	p, i := 0, 0
	for i < len(v) {
		if p < len(pat) && pat[p] == '*' {
			p++
			star, mark = p, i
			continue
		}
		if n, w, ok := globOne(pat[p:], v[i:], fold); ok {
			p, i = p+n, i+w
			continue
		}
		if star < 0 {
			return false
		}
		_, w := utf8.DecodeRuneInString(v[mark:])
		mark += w
		p, i = star, mark
	}
	return strings.Trim(pat[p:], "*") == ""
}

// globOne matches the first character of v against the first element of pat,
// which is not a star, and returns how much of each that took.
func globOne(pat, v string, fold bool) (n, w int, ok bool) {
	if pat == "" {
		return 0, 0, false
	}
	r, w := utf8.DecodeRuneInString(v)
	switch pat[0] {
	case '?':
		return 1, w, true
	case '[':
		if end := classEnd(pat); end > 0 {
			return end, w, classHas(pat[1:end-1], r, fold)
		}
	}
	c, n := utf8.DecodeRuneInString(pat)
	if r == utf8.RuneError && w == 1 || c == utf8.RuneError && n == 1 {
		return n, w, v[0] == pat[0] && n == w
	}
	return n, w, c == r || fold && foldEqual(c, r)
}

// classEnd returns the length of the class that pat begins with, 0 when it is
// not closed. A "]" right after "[" or "[!" belongs to the class.
func classEnd(pat string) int {
	i := 1
	if i < len(pat) && pat[i] == '!' {
		i++
	}
	if j := strings.IndexByte(pat[min(i+1, len(pat)):], ']'); j >= 0 {
		return i + 1 + j + 1
	}
	return 0
}

// classHas reports whether the class body has r.
func classHas(body string, r rune, fold bool) bool {
	not := body[0] == '!' && len(body) > 1
	if not {
		body = body[1:]
	}
	for body != "" {
		lo, n := utf8.DecodeRuneInString(body)
		body = body[n:]
		hi := lo
		if len(body) > 1 && body[0] == '-' {
			hi, n = utf8.DecodeRuneInString(body[1:])
			body = body[1+n:]
		}
		if lo <= r && r <= hi || fold && foldWithin(r, lo, hi) {
			return !not
		}
	}
	return not
}

func foldEqual(a, b rune) bool { return foldWithin(a, b, b) }

// foldWithin reports whether another case of r lies in [lo, hi].
func foldWithin(r, lo, hi rune) bool {
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		if lo <= f && f <= hi {
			return true
		}
	}
	return false
}
