package enrich

import (
	"fmt"
	"strings"
)

// ArgsMode says what of a process's command line is kept.
type ArgsMode uint8

// The modes; the zero value is the safe one.
const (
	ArgsRedacted ArgsMode = iota // secrets replaced by Redacted
	ArgsFull                     // as the process has it
	ArgsNone                     // nothing: Process.Args stays nil
)

// ParseArgsMode reads the configuration words "redacted", "full" and "none".
func ParseArgsMode(s string) (ArgsMode, error) {
	switch s {
	case "redacted":
		return ArgsRedacted, nil
	case "full":
		return ArgsFull, nil
	case "none":
		return ArgsNone, nil
	}
	return 0, fmt.Errorf("unknown mode of arguments %q: want redacted, full or none", s)
}

// Redacted stands where a secret was.
const Redacted = "[redacted]"

// Redact replaces what looks like a secret in a command line, by the rules of
// docs/REDACTION.md. The number of arguments stays, and so does everything that
// no rule names; args itself is never changed, and is what is returned when
// nothing was found. Redacting again changes nothing.
func Redact(args []string) []string {
	var r redactor
	out := args
	for i, a := range args {
		s := a
		if i > 0 || strings.ContainsAny(a, " =") { // a program's own name is none, a title may hold one
			s = r.arg(a)
		} else {
			r.program(a)
		}
		if s == a {
			continue
		}
		if &out[0] == &args[0] {
			out = append([]string(nil), args...)
		}
		out[i] = s
	}
	if last := len(out) - 1; r.last && last > 0 && out[last] != Redacted {
		if &out[0] == &args[0] {
			out = append([]string(nil), args...)
		}
		out[last] = Redacted
	}
	return out
}

// expect says what the next word is, by the words before it.
type expect uint8

const (
	anything expect = iota
	aSecret         // all of it
	aMaybe          // a secret, unless isPlain: "--key FILE"
	aPair           // "user:password" or "user%password"
)

// redactor walks the words of a command line in order.
type redactor struct {
	tool       tool // rules of the last program that was named
	next       expect
	identified bool // the word before was SQL's IDENTIFIED
	last       bool // the last argument is a secret (htpasswd -b)
}

// program takes up the rules of a program, if it has any.
func (r *redactor) program(path string) bool {
	base := path[strings.LastIndexByte(path, '/')+1:]
	t, ok := toolOf(strings.TrimSuffix(base, ".exe"))
	if ok {
		r.tool = t
	}
	return ok
}

// arg redacts one argument: a single word, "name=value" with anything in the
// value, or text that holds words itself (sh -c).
func (r *redactor) arg(a string) string {
	text := strings.ContainsAny(a, " \t\n")
	if r.next == anything && !text && !suspicious(a) {
		return r.plain(a)
	}
	if !text {
		return r.word(a, false)
	}
	if r.next != anything && !isOption(a) {
		return r.value(a)
	}
	if sep, s := leadingName(a); s != harmless {
		if rest := strings.TrimLeft(a[sep+1:], " "); s == secret || !isPlain(rest) {
			return a[:sep+1] + a[sep+1:len(a)-len(rest)] + Redacted
		}
	}
	s := r.text(a, true)
	r.next = anything
	return s
}

// plain treats a word in which nothing is suspicious but its place.
func (r *redactor) plain(w string) string {
	if len(w) > 0 && w[0] == '-' {
		return r.flag(w)
	}
	if len(w) < 64 && !r.program(w) && w == "login" && r.tool.registry {
		r.tool.value = "p"
	}
	return w
}

// text redacts the words of a text. With quotes, white space inside quotation
// marks does not end a word.
func (r *redactor) text(s string, quotes bool) string {
	var out strings.Builder
	done := 0 // s[:done] is in out
	for i := 0; i < len(s); {
		if isSpace(s[i]) {
			i++
			continue
		}
		end := wordEnd(s, i, quotes)
		w := s[i:end]
		var changed string
		if _, named := leadingName(w); r.next == anything && named == harmless && strings.ContainsAny(w, " \t\n") {
			changed = r.text(w, false)
		} else {
			changed = r.word(w, true)
		}
		if changed != w {
			out.WriteString(s[done:i])
			out.WriteString(changed)
			done = end
		}
		i = end
	}
	if done == 0 {
		return s
	}
	out.WriteString(s[done:])
	return out.String()
}

// wordEnd returns where the word that begins at i ends.
func wordEnd(s string, i int, quotes bool) int {
	var quote byte
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case isSpace(c):
			return i
		case quotes && (c == '"' || c == '\''):
			quote = c
		}
	}
	return i
}

// word redacts one word; inText, names without a dash count as well, as SQL
// and HTTP headers have them.
func (r *redactor) word(w string, inText bool) string {
	if r.next != anything && !isOption(w) {
		return r.value(w)
	}
	r.next = anything
	was := r.identified
	r.identified = equalFold(w, "identified")
	switch {
	case equalFold(w, "bearer"),
		was && equalFold(w, "by"),
		equalFold(w, "password") && (inText || r.tool.password):
		r.next = aSecret
		return w
	}
	if tokenShaped(w) {
		return Redacted
	}
	if w = r.pairs(w); len(w) > 0 && w[0] == '-' {
		return r.flag(userInfo(w))
	}
	return r.plain(userInfo(w))
}

// value is the word behind a name that announced it.
func (r *redactor) value(w string) string {
	was := r.next
	r.next = anything
	switch {
	case isScheme(w):
		r.next = aSecret // "Authorization:" "Basic" "x"
		return w
	case was == aMaybe && isPlain(w):
		return w
	case was == aPair:
		return redactPair(w)
	}
	return Redacted
}

// flag treats a word that begins with a dash: a long or short option, whose
// value is the next word or part of this one.
func (r *redactor) flag(w string) string {
	if r.next != anything {
		return w // pairs saw a name with an empty value
	}
	if len(w) > 2 && w[1] != '-' {
		if s := r.short(w); s != w || r.next != anything {
			return s
		}
	}
	if len(w) == 2 {
		return r.short(w)
	}
	if strings.ContainsAny(w, "=:") {
		return r.longPair(w)
	}
	if r.tool.pair != "" && (w == "--user" || w == "--proxy-user") {
		r.next = aPair
		return w
	}
	switch nameStrength(w) {
	case secret:
		r.next = aSecret
	case doubtful:
		r.next = aMaybe
	}
	return w
}

// longPair is "--user=name:password" of the programs that have it.
func (r *redactor) longPair(w string) string {
	name, v, _ := strings.Cut(w, "=")
	if r.tool.pair != "" && (name == "--user" || name == "--proxy-user") {
		return name + "=" + redactPair(v)
	}
	return w
}

// short applies the program's rules for one-letter options.
func (r *redactor) short(w string) string {
	has := strings.IndexByte
	c, t := w[1], &r.tool
	switch {
	case len(w) > 2 && (has(t.attached, c) >= 0 || has(t.value, c) >= 0):
		return w[:2] + Redacted
	case len(w) > 2 && has(t.pair, c) >= 0:
		return w[:2] + redactPair(w[2:])
	}
	if t.lastIf != 0 && has(w, t.lastIf) > 0 {
		r.last = true
	}
	// Letters can be bundled ("-sku name:password"); the last one takes a value.
	switch c = w[len(w)-1]; {
	case has(t.value, c) >= 0, len(w) == 2 && has(t.separate, c) >= 0:
		r.next = aSecret
	case has(t.pair, c) >= 0:
		r.next = aPair
	}
	return w
}

// pairs redacts the values in "name=value", "name:value" and quoted forms of
// them, wherever they stand in a word: query strings, connection strings, JSON.
func (r *redactor) pairs(w string) string {
	for i := 0; i < len(w); i++ {
		if w[i] != '=' && w[i] != ':' || strings.HasPrefix(w[i:], "://") {
			continue
		}
		begin, s := nameBefore(w, i)
		if s == harmless {
			continue
		}
		v := i + 1
		if v == len(w) {
			r.next = aSecret
			if s == doubtful {
				r.next = aMaybe
			}
			return w
		}
		end := len(w)
		if strings.Trim(w[:begin], "-") != "" {
			end = valueEnd(w, v)
		}
		if s == doubtful && isPlain(w[v:end]) {
			continue
		}
		if isScheme(w[v:end]) {
			r.next = aSecret
			return w
		}
		if q := w[v]; end > v+1 && (q == '"' || q == '\'') && w[end-1] == q {
			v, end = v+1, end-1
		}
		w = w[:v] + Redacted + w[end:]
		i = v + len(Redacted) - 1
	}
	return w
}

// nameBefore returns the name that ends before the separator at i, perhaps in
// quotation marks, and how much it says of its value.
func nameBefore(w string, i int) (begin int, s strength) {
	if i > 0 && (w[i-1] == '"' || w[i-1] == '\'') {
		i--
	}
	begin = i
	for begin > 0 && isNameByte(w[begin-1]) {
		begin--
	}
	return begin, nameStrength(w[begin:i])
}

// leadingName returns the separator behind the name that an argument begins
// with, and how much the name says.
func leadingName(a string) (sep int, s strength) {
	for i := range len(a) {
		if a[i] == '=' || a[i] == ':' {
			return i, nameStrength(a[:i])
		}
		if !isNameByte(a[i]) {
			break
		}
	}
	return 0, harmless
}

// valueEnd returns where a value inside a word ends: at its closing quotation
// mark, else before what separates pairs.
func valueEnd(w string, v int) int {
	if q := w[v]; q == '"' || q == '\'' {
		for i := v + 1; i < len(w); i++ {
			if w[i] == '\\' {
				i++
			} else if w[i] == q {
				return i + 1
			}
		}
		return len(w)
	}
	if n := strings.IndexAny(w[v:], "&;,\"'<>{}()"); n >= 0 {
		return v + n
	}
	return len(w)
}

// userInfo redacts the password in a URL's authority (RFC 3986 section 3.2.1),
// and a user name that is long enough to be a token.
func userInfo(w string) string {
	for at := 0; ; {
		n := strings.Index(w[at:], "://")
		if n < 0 {
			return w
		}
		at += n + 3
		authority := w[at:]
		if end := strings.IndexAny(authority, "/?#\"' "); end >= 0 {
			authority = authority[:end]
		}
		end := strings.LastIndexByte(authority, '@')
		if end < 0 {
			continue
		}
		const longest = 20 // of plain user names; tokens are longer
		colon := strings.IndexByte(authority[:end], ':')
		switch {
		case colon >= 0:
			w = w[:at+colon+1] + Redacted + w[at+end:]
		case end >= longest:
			w = w[:at] + Redacted + w[at+end:]
		}
	}
}

// redactPair keeps the user of "user:password" and "user%password".
func redactPair(w string) string {
	if i := strings.IndexAny(w, ":%"); i >= 0 && i+1 < len(w) {
		return w[:i+1] + Redacted
	}
	return w
}
