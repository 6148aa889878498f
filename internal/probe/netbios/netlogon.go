package netbios

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/netlogon"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

const (
	nameService     = 137
	datagramService = 138
	datagramName    = "netbios-dgm"

	computer = "PORTREPORTER" // what we call ourselves
)

// thinking is how long a domain controller may take to look its domain up,
// beside the path: others are silent at this port, and waited for in vain.
const thinking = 200 * time.Millisecond

// Netlogon asks the datagram service of a domain controller (MS-ADTS section
// 6.3.5) which domain it serves. All others are silent there, and so is a domain
// controller to whom it calls the domain by another name; that name is asked of
// the same host's name service.
type Netlogon struct{}

// Protocol is "netlogon".
func (Netlogon) Protocol() string { return "netlogon" }

// Ports is that of the datagram service.
func (Netlogon) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: datagramService, Name: datagramName}}
}

// Ask asks the name service for the domain, and then the domain controller. Where
// there is no domain to ask for, an empty datagram shows whether the port is
// refused.
func (p Netlogon) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	if t.Port != datagramService && t.Service != datagramName {
		return nil, fmt.Errorf("%s: port %d is no datagram service's", p.Protocol(), t.Port)
	}
	c, err := d.UDP(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	domain, wait := p.domain(ctx, d)
	self := netip.AddrPort{}
	if u, ok := c.LocalAddr().(*net.UDPAddr); ok {
		self = netip.AddrPortFrom(u.AddrPort().Addr().Unmap(), u.AddrPort().Port())
	}
	if domain.text == "" || !self.Addr().Is4() {
		b, err := talk.AskOn(ctx, c, d.Wait()/2, nil, func([]byte) bool { return false })
		return talk.Fail(p.Protocol(), b, err)
	}
	q := newQuestion(self, domain)
	var a *probe.Answer
	b, err := talk.AskOn(ctx, c, wait, q.bytes(), func(b []byte) bool {
		a, err = q.answer(b)
		return err == nil
	})
	if a == nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	a.Protocol = p.Protocol()
	return a, nil
}

// domain is the name by which the host's domain controller is called, and how
// long its answer may take; without text, the host names none.
func (Netlogon) domain(ctx context.Context, d probe.Dialer) (name, time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d.Wait()) // half of what its own prober takes: twice is waited here
	defer cancel()
	began := time.Now()
	s, _, err := askStatus(ctx, d.Beside(nameService))
	if err != nil {
		return name{}, 0
	}
	return s.domain(), min(d.Wait(), 4*time.Since(began)+thinking)
}

// domain is the name of the status that a domain controller answers to: its
// domain's with that of all domain controllers or, before Windows NT 4, that of
// the primary one.
func (s adapterStatus) domain() (found name) {
	for _, n := range s.names {
		switch {
		case n.suffix == 0x1c && n.group:
			return n
		case n.suffix == 0x1b && !n.group:
			found = n
		}
	}
	return found
}

// answer takes a datagram that came: the answer, or that nobody has the name.
func (q question) answer(b []byte) (*probe.Answer, error) {
	if why, err := q.refusal(b); err == nil {
		a := &probe.Answer{Summary: "datagram error: " + why}
		a.Add("error", why)
		return a, nil
	}
	said, err := q.delivery(b)
	if err != nil {
		return nil, err
	}
	l, err := netlogon.ParseMailslot(said)
	if err != nil {
		return nil, err
	}
	a := &probe.Answer{Summary: l.Host()}
	if l.Domain() != "" {
		a.Summary += " of " + l.Domain()
	}
	if l.Site() != "" {
		a.Summary += ", site " + l.Site()
	}
	l.Describe(a)
	return a, nil
}

var errNotOurs = errors.New("no answer to our datagram")
