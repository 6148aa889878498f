package probe

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	maxRaw    = 4 << 10         // of what a service said, kept
	askedTime = 4 * time.Second // for one that name or port chose, beside the path's wait: banners may be slow
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
	begun := time.Now()
	var said []byte
	for _, p := range q.probers {
		var raw []byte
		r.Asked = p.Protocol()
		r.Answer, raw = askTwice(ctx, d, p, r.Target)
		if said == nil {
			said = raw
		}
		if r.Answer != nil || ctx.Err() != nil {
			break
		}
	}
	if r.Answer == nil && ctx.Err() == nil && q.guess() && !d.refused() {
		rest := slices.DeleteFunc(slices.Clone(all), func(p Prober) bool {
			return slices.ContainsFunc(q.probers, func(o Prober) bool { return o.Protocol() == p.Protocol() })
		})
		if r.Target.Proto == UDP {
			r.Answer = guessUDP(ctx, d, r.Target, rest)
		} else {
			r.Answer, said = guessTCP(ctx, d, r.Target, rest, said, max(lastWord*d.wait-time.Since(begun), d.wait))
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

// client is who asks: a dialer, with its share of what may be sent.
type client interface {
	Dialer
	pay(ctx context.Context) error
}

// ask has one Prober ask. Where nobody it understands answers, it returns what
// came instead, and why there was no more.
func ask(ctx context.Context, d client, p Prober, t Target, limit time.Duration) (*Answer, []byte, error) {
	if err := d.pay(ctx); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	a, err := p.Ask(ctx, d, t)
	switch {
	case err == nil:
		return a, nil, nil
	case a != nil && errors.Is(err, ErrProtocol):
		return nil, a.Raw, err
	}
	return nil, nil, err
}

// askTwice is ask for one whose protocol is expected. A service that speaks first
// and closes instead, or says that it has too many clients, has not been offended:
// it is asked once more after a pause, and no more than that.
func askTwice(ctx context.Context, d *dialer, p Prober, t Target) (*Answer, []byte) {
	a, said, err := ask(ctx, d, p, t, askedTime+d.wait)
	turned := said == nil && ended(err) || later(said) || a != nil && later(a.Raw)
	if t.Proto != TCP || !speaksFirst(p) || !turned {
		return a, said
	}
	select {
	case <-time.After(busyPause):
	case <-ctx.Done():
		return a, said
	}
	if b, words, _ := ask(ctx, d, p, t, askedTime+d.wait); b != nil || a == nil && words != nil {
		return b, words
	}
	return a, said
}

// ended says whether an error is the peer's end of a connection, and not that
// nothing came in time.
func ended(err error) bool {
	var timeout net.Error
	return err != nil && !errors.Is(err, context.Canceled) && !(errors.As(err, &timeout) && timeout.Timeout())
}

// How a silent UDP port is recognised.
const (
	udpGap  = 30 * time.Millisecond  // from one question to the next
	udpTime = 500 * time.Millisecond // for the answer, after that to a first datagram could have come
)

// guessUDP asks all questions that may be asked of strangers, evenly spaced, until
// one is understood: silence costs each its whole wait.
func guessUDP(ctx context.Context, d *dialer, t Target, all []Prober) (found *Answer) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := strangersUDP(all)
	answers := make(chan *Answer, len(queue))
	tick := time.NewTicker(udpGap)
	defer tick.Stop()
	under := 0
	for len(queue) > 0 || under > 0 { // each is waited for, so that no goroutine is left
		next := tick.C
		if len(queue) == 0 {
			next = nil
		}
		select {
		case a := <-answers:
			under--
			if found == nil && a != nil {
				found, queue = a, nil
				cancel()
			}
		case <-next: // when ctx is done, they end at once
			p := queue[0]
			queue = queue[1:]
			under++
			go func() {
				a, _, _ := ask(ctx, d, p, t, d.wait+udpTime)
				answers <- a
			}()
		}
	}
	return found
}

// strangersUDP are the Probers whose question may be asked at any port, the
// likeliest first: none that could make a server say much more than we do (the
// list of LDAP), that alarms it (a RADIUS packet of a client it
// does not know), or that no server was ever seen to answer.
func strangersUDP(all []Prober) []Prober {
	order := []string{"dns", "snmp", "ntp", "stun", "quic", "sip", "coap", "tftp", "isakmp", "kerberos", "memcached", "mdns", "ssdp", "netbios", "l2tp", "mssql"}
	never := []string{"ldap", "radius", "rpc", "wsp"}
	place := func(p Prober) int {
		if i := slices.Index(order, p.Protocol()); i >= 0 {
			return i
		}
		return len(order)
	}
	ps := slices.DeleteFunc(slices.Clone(all), func(p Prober) bool { return !speaks(p, UDP) || slices.Contains(never, p.Protocol()) })
	slices.SortStableFunc(ps, func(a, b Prober) int { return place(a) - place(b) })
	return ps
}

func speaks(p Prober, proto Proto) bool {
	return slices.ContainsFunc(p.Ports(), func(o Port) bool { return o.Proto == proto })
}

// firstLine is the first line of what was said.
func firstLine(b []byte) string {
	s := strings.TrimLeft(string(b[:min(len(b), 256)]), "\r\n\t ")
	if i := strings.IndexAny(s, "\r\n\x00"); i >= 0 {
		s = s[:i]
	}
	return s
}
