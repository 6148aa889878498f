package probe

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	maxRaw     = 4 << 10                // of what a service said, kept
	bannerWait = 500 * time.Millisecond // for a service that speaks first, at least
	askedTime  = 4 * time.Second        // for one that name or port chose, beside the path's wait: banners may be slow
	guessTime  = time.Second            // for those that may be, beside the path's wait
	guessAll   = 8 * time.Second        // for all of them
	guessWidth = 8                      // asked at once
)

// known are the Probers to ask at a target, the likeliest first: those whose
// service name it has, as a services file is the user's word, then those at home
// at its port; TLS after what runs in it.
func known(all []Prober, t Target) []Prober {
	var named, ported []Prober
	for _, p := range all {
		switch {
		case namedSo(p, t):
			named = append(named, p)
		case slices.ContainsFunc(p.Ports(), func(o Port) bool { return o.Proto == t.Proto && o.Port == t.Port }):
			ported = append(ported, p)
		}
	}
	ps := append(named, ported...)
	slices.SortStableFunc(ps, func(a, b Prober) int { return layer(a) - layer(b) })
	return ps
}

// namedSo: the service is a name of p's, or p's protocol over this transport.
func namedSo(p Prober, t Target) bool {
	if t.Service == "" {
		return false
	}
	return slices.ContainsFunc(p.Ports(), func(o Port) bool {
		return o.Proto == t.Proto && (o.Name == t.Service || p.Protocol() == t.Service)
	})
}

// layer is 1 for what carries other protocols.
func layer(p Prober) int {
	if p.Protocol() == "tls" {
		return 1
	}
	return 0
}

// identify asks what answers at a port, and returns the result with the answer and
// the verdict that it makes.
func identify(ctx context.Context, d *dialer, q *question, all []Prober) Result {
	defer d.close()
	r := q.result
	var said []byte
	for _, p := range q.probers {
		var raw []byte
		r.Asked = p.Protocol()
		r.Answer, raw = ask(ctx, d, p, r.Target, askedTime)
		if said == nil {
			said = raw
		}
		if r.Answer != nil || ctx.Err() != nil {
			break
		}
	}
	if r.Answer == nil && q.guess && ctx.Err() == nil {
		rest := slices.DeleteFunc(slices.Clone(all), func(p Prober) bool {
			return slices.ContainsFunc(q.probers, func(o Prober) bool { return o.Protocol() == p.Protocol() })
		})
		if r.Target.Proto == UDP {
			r.Answer, said = guessUDP(ctx, d, r.Target, rest, said)
		} else {
			r.Answer, said = guessTCP(ctx, d, r.Target, rest, said)
		}
	}
	if r.Answer != nil {
		r.Asked = r.Answer.Protocol
	}
	d.told(&r)
	if r.Answer == nil && said == nil {
		said = d.heard
	}
	if r.Answer == nil && len(said) > 0 {
		r.Answer = &Answer{Summary: firstLine(said), Raw: said}
	}
	r.Took = time.Since(r.Start)
	return r
}

// ask has one Prober ask. Where nobody it understands answers, it returns what
// came instead.
func ask(ctx context.Context, d *dialer, p Prober, t Target, limit time.Duration) (*Answer, []byte) {
	ctx, cancel := context.WithTimeout(ctx, limit+d.wait)
	defer cancel()
	a, err := p.Ask(ctx, d, t)
	switch {
	case err == nil:
		return a, nil
	case a != nil && errors.Is(err, ErrProtocol):
		return nil, a.Raw
	}
	return nil, nil
}

// guessTCP finds out who answers at an unusual port: by what it says first, then
// by asking TLS and HTTP, which most are, then all others.
func guessTCP(ctx context.Context, d *dialer, t Target, all []Prober, said []byte) (*Answer, []byte) {
	ctx, cancel := context.WithTimeout(ctx, guessAll)
	defer cancel()
	all = slices.DeleteFunc(all, func(p Prober) bool { return !speaks(p, TCP) })
	unasked := said == nil
	if unasked {
		said = banner(ctx, d)
	}
	if said != nil {
		for _, name := range greets(said) {
			for _, p := range all {
				if p.Protocol() != name {
					continue
				}
				if a, _ := ask(ctx, d, p, t, askedTime); a != nil {
					return a, nil
				}
			}
		}
		if unasked && greeting(said) { // nobody's that we know: it is not for us to talk
			return nil, said
		}
	}
	if printer(t.Port) {
		return nil, said
	}
	web := func(p Prober) bool { return p.Protocol() == "http" || p.Protocol() == "tls" }
	a, answered := askAll(ctx, d, t, slices.DeleteFunc(slices.Clone(all), func(p Prober) bool { return !web(p) }))
	if a != nil {
		inside := slices.DeleteFunc(slices.Clone(all), func(p Prober) bool { return carrier(p) != a.Protocol })
		if b, _ := askAll(ctx, d, t, inside); b != nil {
			return b, nil
		}
		return a, nil
	}
	if said == nil {
		said = answered
	}
	// Whoever speaks first has not, and what is inside another is not either.
	rest := slices.DeleteFunc(all, func(p Prober) bool { return web(p) || carrier(p) != "" || speaksFirst(p) })
	complains := complaint(answered)
	slices.SortStableFunc(rest, func(a, b Prober) int { return rank(complains, a) - rank(complains, b) })
	for wave := range slices.Chunk(rest, guessWidth) {
		if a, _ := askAll(ctx, d, t, wave); a != nil {
			return a, nil
		}
	}
	return nil, said
}

// carrier is the protocol that p's runs in: it need not be asked where that does
// not answer. "" is none.
func carrier(p Prober) string {
	if c, ok := p.(interface{ Carrier() string }); ok {
		return c.Carrier()
	}
	return ""
}

// complaint is the protocol whose words answered a question of HTTP, "" unknown.
func complaint(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("-ERR")) || bytes.HasPrefix(b, []byte("-DENIED")):
		return "redis"
	case bytes.HasPrefix(b, []byte("ERROR\r\n")):
		return "memcached"
	case bytes.HasPrefix(b, []byte("SIP/2.0 ")):
		return "sip"
	}
	return ""
}

// rank orders who is asked: the one that has complained, and last who answers at
// others' ports too, as file servers take NetBIOS's sessions everywhere.
func rank(complains string, p Prober) int {
	switch p.Protocol() {
	case complains:
		return 0
	case "netbios":
		return 2
	}
	return 1
}

// guessUDP asks all, at once, as silence costs each its whole wait.
func guessUDP(ctx context.Context, d *dialer, t Target, all []Prober, said []byte) (*Answer, []byte) {
	all = slices.DeleteFunc(all, func(p Prober) bool { return !speaks(p, UDP) })
	a, _ := askAll(ctx, d, t, all)
	return a, said
}

func speaks(p Prober, proto Proto) bool {
	return slices.ContainsFunc(p.Ports(), func(o Port) bool { return o.Proto == proto })
}

// askAll has several ask at once, and returns the answer of the first of them, in
// their order, that understood, or what one of them heard instead. When one has
// understood, the others have a moment more, and are then ended.
func askAll(ctx context.Context, d *dialer, t Target, ps []Prober) (found *Answer, said []byte) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		place  int
		answer *Answer
		said   []byte
	}
	outcomes := make(chan outcome, len(ps))
	for i, p := range ps {
		go func() {
			a, said := ask(ctx, d, p, t, guessTime)
			outcomes <- outcome{i, a, said}
		}()
	}
	best := len(ps)
	for range ps { // each is waited for, so that no goroutine is left
		o := <-outcomes
		if o.answer != nil && best == len(ps) {
			defer time.AfterFunc(d.wait/2, cancel).Stop()
		}
		if o.answer != nil && o.place < best {
			found, best = o.answer, o.place
		}
		if said == nil {
			said = o.said
		}
	}
	return found, said
}

// banner is what the service says before it is asked; nil when it says nothing.
func banner(ctx context.Context, d *dialer) []byte {
	c, err := d.TCP(ctx)
	if err != nil {
		return nil
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	_ = c.SetReadDeadline(time.Now().Add(max(d.wait/2, bannerWait)))
	return readSome(c)
}

func readSome(c net.Conn) []byte {
	b := make([]byte, maxRaw)
	n, _ := c.Read(b)
	if n == 0 {
		return nil
	}
	return b[:n]
}

// greets are the protocols that may begin with these bytes, the likeliest first.
func greets(b []byte) []string {
	for _, g := range []struct {
		prefix    string
		contains  string
		protocols []string
	}{
		{"SSH-", "", []string{"ssh"}},
		{"220", "FTP", []string{"ftp", "smtp"}},
		{"220", "", []string{"smtp", "ftp"}},
		{"+OK", "", []string{"pop3"}},
		{"* OK", "", []string{"imap"}},
		{"* PREAUTH", "", []string{"imap"}},
		{"RFB ", "", []string{"vnc"}},
		{"@RSYNCD:", "", []string{"rsync"}},
		{"INFO {", "", []string{"nats"}},
		{"HTTP/", "", []string{"http"}},
		{"\x15\x03", "", []string{"tls"}},
	} {
		if bytes.HasPrefix(b, []byte(g.prefix)) && bytes.Contains(b, []byte(g.contains)) {
			return g.protocols
		}
	}
	// MySQL: length 3, sequence number 0, then protocol 10 or an error packet.
	if len(b) > 5 && b[3] == 0 && (b[4] == 10 || b[4] == 0xff) && int(b[0])|int(b[1])<<8 >= 5 {
		return []string{"mysql"}
	}
	return nil
}

// speaksFirst: such a service says what it is before it is asked (see greets).
func speaksFirst(p Prober) bool {
	return slices.Contains([]string{"ssh", "ftp", "smtp", "pop3", "imap", "vnc", "rsync", "nats", "mysql"}, p.Protocol())
}

// greeting says whether the bytes are words of a service that speaks first, not
// an answer in a protocol's own octets to a question that was another's.
func greeting(b []byte) bool {
	for _, c := range b[:min(len(b), 16)] {
		if c >= 0x7f || c < ' ' && c != '\r' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// printer: such a port prints what it is sent (JetDirect, 9100 to 9107).
func printer(port uint16) bool { return port >= 9100 && port <= 9107 }

// firstLine is the first line of what was said.
func firstLine(b []byte) string {
	s := strings.TrimLeft(string(b[:min(len(b), 256)]), "\r\n\t ")
	if i := strings.IndexAny(s, "\r\n\x00"); i >= 0 {
		s = s[:i]
	}
	return s
}
