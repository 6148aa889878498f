package interest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// document is a rule file, read.
type document struct {
	file    string
	rules   []rule
	disable []disabled
	sigma   []string
	starter bool
}

// fileKeys and ruleKeys are the keys of a rule file, in the order of
// docs/INTEREST.md.
func fileKeys() []string { return []string{"starter", "disable", "sigma"} }

func ruleKeys() []string {
	return []string{"id", "title", "severity", "reason", "source", "when", "ports", "processes", "modules", "users", "addresses", "hosts", "belongs", "condition"}
}

// parser walks a document once, building the rules as their keys come.
type parser struct {
	toml  unstable.Parser
	doc   document
	opt   *Options
	rule  *draft         // that is being read; nil before the first
	table string         // "", "rule" or "rule.belongs"
	key   unstable.Range // of the key-value that is being read
}

// draft is a rule whose keys are being read.
type draft struct {
	rule
	terms []string // of the expression, and-ed
	about []string // conditions that are no terms, for people
	col   int
	homes []string // terms of belongs, or-ed
	named bool     // an id was given
}

// parseFile reads a rule file.
func parseFile(name string, data []byte, opt *Options) (*document, error) {
	if len(data) > maxFile {
		return nil, &Error{File: name, Msg: fmt.Sprintf("larger than %d bytes: not a rule file", maxFile)}
	}
	// The plain decoder first: it finds what is not TOML, and keys given twice.
	var all map[string]any
	if err := toml.Unmarshal(data, &all); err != nil {
		e := &Error{File: name, Msg: strings.TrimPrefix(err.Error(), "toml: ")}
		var at *toml.DecodeError
		if errors.As(err, &at) {
			e.Line, e.Col = at.Position()
		}
		return nil, e
	}
	// Then the parser below it, since only that tells where each value stands.
	p := &parser{doc: document{file: name, starter: true}, opt: opt}
	p.toml.Reset(data)
	for p.toml.NextExpression() {
		if err := p.expression(p.toml.Expression()); err != nil {
			return nil, err
		}
	}
	if err := p.toml.Error(); err != nil {
		return nil, &Error{File: name, Msg: err.Error()}
	}
	if err := p.finishRule(); err != nil {
		return nil, err
	}
	return &p.doc, nil
}

// errorAt makes an error about a node.
func (p *parser) errorAt(n *unstable.Node, format string, args ...any) *Error {
	e := &Error{File: p.doc.file, Msg: fmt.Sprintf(format, args...)}
	raw := n.Raw
	if raw.Length == 0 && (n.Kind == unstable.KeyValue || n.Kind == unstable.Table || n.Kind == unstable.ArrayTable) {
		if it := n.Key(); it.Next() {
			raw = it.Node().Raw
		}
	}
	if raw.Length == 0 && n.Kind == unstable.Array {
		if it := n.Children(); it.Next() {
			raw = it.Node().Raw
		}
	}
	if raw.Length == 0 {
		raw = p.key // an empty list has no place of its own
	}
	if raw.Length > 0 {
		at := p.toml.Shape(raw).Start
		e.Line, e.Col = at.Line, at.Column
	}
	return e
}

// keyParts gives the parts of a table's or a key-value's dotted key.
func keyParts(n *unstable.Node) (parts []string) {
	for it := n.Key(); it.Next(); {
		parts = append(parts, string(it.Node().Data))
	}
	return parts
}

// expression takes one line of the document's structure. go-toml's decoder has
// seen it before, so what is no TOML at all does not come here; what is left to
// find is what is TOML and no rule file.
func (p *parser) expression(n *unstable.Node) error {
	switch n.Kind {
	case unstable.ArrayTable:
		if key := strings.Join(keyParts(n), "."); key != "rule" {
			e := p.errorAt(n, "unknown list of tables [[%s]]: want [[rule]]", key)
			return e
		}
		if err := p.finishRule(); err != nil {
			return err
		}
		at := p.errorAt(n, "")
		p.rule, p.table = &draft{rule: rule{Rule: Rule{File: p.doc.file, Line: at.Line}}, col: at.Col}, "rule"
	case unstable.Table:
		key := strings.Join(keyParts(n), ".")
		if key != "rule.belongs" || p.rule == nil {
			return p.errorAt(n, "unknown table [%s]: rules are in [[rule]], and [rule.belongs] after one", key)
		}
		p.table = key
	case unstable.KeyValue:
		return p.keyValue(n)
	}
	return nil
}

// keyValue hands a key to the table that it stands in: the file, the last
// [[rule]], or that rule's [rule.belongs]. A dotted key of a rule
// (belongs.sshd = ...) says the same as the table.
func (p *parser) keyValue(n *unstable.Node) error {
	parts := keyParts(n)
	it := n.Key()
	it.Next()
	p.key = it.Node().Raw
	if p.table == "rule.belongs" {
		return p.belongs(n, strings.Join(parts, "."), n.Value())
	}
	key := parts[0]
	if p.rule != nil && key == "belongs" && len(parts) > 1 {
		return p.belongs(n, strings.Join(parts[1:], "."), n.Value())
	}
	known := fileKeys()
	if p.rule != nil {
		known = ruleKeys()
	}
	if len(parts) > 1 || !slices.Contains(known, key) {
		key = strings.Join(parts, ".")
		e := p.errorAt(n, "unknown key %q", key)
		if e.Near = filter.Nearest(key, known); e.Near == nil && p.rule == nil && slices.Contains(ruleKeys(), key) {
			e.Msg += ": it is of a rule, after [[rule]]"
		}
		return e
	}
	if p.rule != nil {
		return p.ruleKey(key, n.Value())
	}
	return p.fileKey(key, n.Value())
}

// fileKey takes a key that stands before the first rule.
func (p *parser) fileKey(key string, v *unstable.Node) error {
	if key == "starter" {
		if v.Kind != unstable.Bool {
			return p.errorAt(v, "starter: it takes true or false")
		}
		p.doc.starter = string(v.Data) == "true"
		return nil
	}
	return p.each(key, v, func(n *unstable.Node, text string) error {
		if key == "sigma" {
			p.doc.sigma = append(p.doc.sigma, text)
			return nil
		}
		at := p.errorAt(n, "")
		p.doc.disable = append(p.doc.disable, disabled{text, p.doc.file, at.Line, at.Col})
		return nil
	})
}

// each calls f for each text of a list, or for the one text that stands alone.
// Whole numbers are texts too.
func (p *parser) each(key string, v *unstable.Node, f func(n *unstable.Node, text string) error) error {
	one := func(n *unstable.Node) error {
		if n.Kind != unstable.String && n.Kind != unstable.Integer {
			return p.errorAt(n, "%s: it takes texts, not: %s", key, strings.ToLower(n.Kind.String()))
		}
		if len(n.Data) == 0 || !utf8.Valid(n.Data) {
			return p.errorAt(n, "%s: an empty text", key)
		}
		return f(n, string(n.Data))
	}
	if v.Kind != unstable.Array {
		return one(v)
	}
	count := 0
	for it := v.Children(); it.Next(); {
		n := it.Node()
		if n.Kind == unstable.Comment {
			continue
		}
		if count++; count > maxValues {
			return p.errorAt(n, "%s: more than %d values", key, maxValues)
		}
		if err := one(n); err != nil {
			return err
		}
	}
	if count == 0 {
		return p.errorAt(v, "%s: the list is empty, and nothing would match", key)
	}
	return nil
}

// ruleKey takes a key of a rule. Those that the filter language has a field for
// become terms of the rule's expression, so that they mean the same in both;
// the others are asked natively: service ports, which a filter cannot say, and
// addresses and hosts, of which lists may have thousands.
func (p *parser) ruleKey(key string, v *unstable.Node) error {
	r := p.rule
	switch key {
	case "id", "title", "reason", "source", "severity", "when", "condition":
		if v.Kind != unstable.String || len(v.Data) == 0 {
			return p.errorAt(v, "%s: it takes a text", key)
		}
		return p.ruleText(key, v, string(v.Data))
	case "processes", "modules", "users":
		return p.list(key, map[string]string{"processes": "process", "modules": "module", "users": "user"}[key], v)
	case "addresses":
		r.nets = &netSet{}
		err := p.each(key, v, p.address)
		r.about = append(r.about, count(len(r.nets.prefixes), "address or network", "addresses and networks"))
		return err
	case "ports":
		err := p.each(key, v, p.port)
		r.about = append(r.about, "ports "+portWords(r.service))
		return err
	case "hosts":
		err := p.each(key, v, p.host)
		r.about = append(r.about, "hosts "+strings.Join(r.hosts, ","))
		return err
	}
	if v.Kind != unstable.InlineTable {
		return p.errorAt(v, `belongs: it takes a table: belongs = {"sshd" = ["/usr/sbin"]}`)
	}
	for it := v.Children(); it.Next(); {
		n := it.Node()
		if n.Kind != unstable.KeyValue {
			continue
		}
		if err := p.belongs(n, strings.Join(keyParts(n), "."), n.Value()); err != nil {
			return err
		}
	}
	return nil
}

// ruleText takes a key whose value is one text.
func (p *parser) ruleText(key string, v *unstable.Node, text string) (err error) {
	r := p.rule
	switch key {
	case "id":
		if !isID(text) {
			return p.errorAt(v, "id %q: it takes small letters, digits and . _ -, at most 64", text)
		}
		if strings.HasPrefix(text, starterPrefix) && p.doc.file != starterFile {
			return p.errorAt(v, "id %q: those that begin with %s are the program's own", text, starterPrefix)
		}
		r.ID, r.named = text, true
	case "title":
		r.Title = text
	case "reason":
		r.Reason = text
	case "source":
		r.Source = text
	case "severity":
		if r.Severity, err = activity.ParseSeverity(text); err != nil {
			e := p.errorAt(v, "%s", err)
			e.Near = filter.Nearest(text, activity.Severities())
			return e
		}
	case "condition":
		i := slices.Index(conditionNames(), text)
		if i < 0 {
			e := p.errorAt(v, "unknown condition %q: want one of %s", text, strings.Join(conditionNames(), ", "))
			e.Near = filter.Nearest(text, conditionNames())
			return e
		}
		r.special = condition(i + 1)
		r.about = append(r.about, text)
	case "when":
		x, err := filter.Parse(text, p.opt.Filter)
		if err != nil {
			return p.filterError(v, key, err)
		}
		if h := x.Hints(); h.From != 0 || h.To != 0 {
			return p.errorAt(v, "when: a rule holds at any time: leave out since, until, at and time")
		} else if h.Never {
			return p.errorAt(v, "when: nothing can match %q", text)
		}
		r.terms = append(r.terms, text)
	}
	return nil
}

// isID reports whether s may name a rule: it goes to logs, file names and
// command lines, and so holds nothing that any of these would take for another.
func isID(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

// filterError gives a filter's error the place of the value that it is in. The
// column is that of the mistake where the value is written as it is.
func (p *parser) filterError(v *unstable.Node, key string, err error) error {
	e := p.errorAt(v, "%s: %s", key, err)
	var syntax *filter.SyntaxError
	if !errors.As(err, &syntax) {
		return e
	}
	e.Msg, e.Near = fmt.Sprintf("%s: %s", key, syntax.Msg), syntax.Near
	raw := p.toml.Raw(v.Raw)
	if key == "when" && string(raw[1:len(raw)-1]) == string(v.Data) {
		e.Col += syntax.Col
	}
	return e
}

// list makes a term of a list: any of its values.
func (p *parser) list(key, field string, v *unstable.Node) error {
	var values []string
	err := p.each(key, v, func(n *unstable.Node, text string) error {
		value := quote(text)
		if _, err := filter.Parse(field+":"+value, p.opt.Filter); err != nil {
			return p.filterError(n, key, err)
		}
		values = append(values, value)
		return nil
	})
	p.rule.terms = append(p.rule.terms, field+":"+strings.Join(values, ","))
	return err
}

// quote writes a value so that the filter language takes it whole.
func quote(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }

// port reads 22, 8000-8010, ssh or tcp/22.
func (p *parser) port(n *unstable.Node, text string) error {
	r := portRange{}
	if proto, rest, ok := strings.Cut(text, "/"); ok {
		var err error
		if r.proto, err = activity.ParseProto(proto); err != nil {
			e := p.errorAt(n, "ports: %q: want a port, as 22, 8000-8010, ssh or tcp/22", text)
			e.Near = filter.Nearest(proto, []string{"tcp", "udp"})
			return e
		}
		text = rest
	}
	x, err := filter.Parse("port:"+quote(text), p.opt.Filter)
	if err != nil {
		return p.filterError(n, "ports", err)
	}
	for _, r.PortRange = range x.Hints().Ports {
		p.rule.service = append(p.rule.service, r)
	}
	return nil
}

// portWords writes ports as a rule file has them.
func portWords(ps []portRange) string {
	var words []string
	for _, p := range ps {
		w := strconv.Itoa(int(p.Lo))
		if p.Hi != p.Lo {
			w += "-" + strconv.Itoa(int(p.Hi))
		}
		if p.proto != 0 {
			w = p.proto.String() + "/" + w
		}
		words = append(words, w)
	}
	return strings.Join(words, ",")
}

// address reads an address or a network. A scope such as "public" is none: it
// has no end of prefixes, and the filter has a word for it.
func (p *parser) address(n *unstable.Node, text string) error {
	prefix, err := parsePrefix(text)
	if err != nil {
		return p.errorAt(n, "addresses: %q is neither an address nor a network as 192.0.2.0/24; words such as public go to when, as remote:public", text)
	}
	p.rule.nets.add(prefix)
	return nil
}

// count writes a number of things in words.
func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + more
}

// host reads a name, or "*." and a domain.
func (p *parser) host(n *unstable.Node, text string) error {
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if _, err := netip.ParseAddr(name); err == nil {
		return p.errorAt(n, "hosts: %q is an address: it goes to addresses", text)
	}
	if bare := strings.TrimPrefix(name, "*."); len(name) > 253 || bare == "" || strings.ContainsAny(bare, "*?[/: \t") {
		return p.errorAt(n, `hosts: %q is no host name: want one as "www.example.com" or "*.example.com"`, text)
	}
	p.rule.hosts = append(p.rule.hosts, name)
	return nil
}

// belongs makes a term of a process name and the directories that it runs from.
func (p *parser) belongs(n *unstable.Node, name string, dirs *unstable.Node) error {
	var paths []string
	if name == "" || strings.ContainsAny(name, `/\`) {
		return p.errorAt(n, "belongs: %q is no process name", name)
	}
	err := p.each("belongs: "+name, dirs, func(n *unstable.Node, dir string) error {
		sep := "/"
		if strings.Contains(dir, `\`) {
			sep = `\`
		} else if !strings.HasPrefix(dir, "/") {
			return p.errorAt(n, "belongs: %s: %q is no directory: want its whole path", name, dir)
		}
		paths = append(paths, quote(strings.TrimRight(dir, sep)+sep+"*"))
		return nil
	})
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`(process:%s exe:"*" -exe:%s)`, quote(name), strings.Join(paths, ","))
	if _, err := filter.Parse(text, p.opt.Filter); err != nil {
		return p.filterError(dirs, "belongs: "+name, err)
	}
	p.rule.homes = append(p.rule.homes, text)
	return nil
}

// finishRule takes the rule that was being read.
func (p *parser) finishRule() error {
	r := p.rule
	if r == nil {
		return nil
	}
	p.rule = nil
	fail := func(format string, args ...any) error {
		return &Error{File: p.doc.file, Line: r.Line, Col: r.col, Msg: fmt.Sprintf(format, args...)}
	}
	if !r.named {
		return fail("the rule has no id")
	}
	if r.homes != nil {
		r.terms = append(r.terms, "("+strings.Join(r.homes, " or ")+")")
	}
	if len(r.terms) == 0 && len(r.about) == 0 {
		return fail("rule %s has no condition, and would match everything: give it when, a list or a condition", r.ID)
	}
	if len(p.doc.rules) >= maxRules {
		return fail("more than %d rules", maxRules)
	}
	if r.Severity == activity.SeverityNone {
		r.Severity = activity.SeverityMedium
	}
	if r.Title == "" {
		r.Title = r.ID
	}
	if len(r.terms) > 0 {
		for i, t := range r.terms {
			r.terms[i] = "(" + t + ")"
		}
		x, err := filter.Parse(strings.Join(r.terms, " "), p.opt.Filter)
		if err != nil {
			return fail("rule %s: %s", r.ID, err)
		}
		r.expr = x
		r.about = append([]string{x.String()}, r.about...)
	}
	r.About = strings.Join(r.about, "; ")
	r.finish(p.opt)
	p.doc.rules = append(p.doc.rules, r.rule)
	return nil
}
