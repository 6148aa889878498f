// Package ldap asks a directory (RFC 4511) what it says of itself: the
// attributes of its root DSE (RFC 4512 section 5.1), over TCP, UDP (RFC 1798)
// and TLS, and over UDP also Active Directory's LDAP ping (MS-ADTS section
// 6.3.3), which names domain, site and the role of a domain controller.
//
// Fields are the attributes as received, after those of the TLS connection
// where there is one, and before those of the ping's answer, named as in
// MS-ADTS section 6.3.1.9 ("DnsHostName", "ClientSiteName"). A search that
// failed has "resultCode" and "diagnosticMessage".
package ldap

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/ber"
	"github.com/portreporter/portreporter/internal/probe/internal/secure"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// maxMessage is far above any root DSE; that of a domain controller has 10 KiB.
const maxMessage = 256 << 10

// Prober asks for LDAP.
type Prober struct{}

// Protocol is "ldap".
func (Prober) Protocol() string { return "ldap" }

// Ports are those of directories, and of Active Directory's global catalogue.
func (Prober) Ports() []probe.Port {
	return []probe.Port{
		{Proto: probe.TCP, Port: 389, Name: "ldap"},
		{Proto: probe.UDP, Port: 389, Name: "ldap"},
		{Proto: probe.TCP, Port: 3268, Name: "msft-gc"},
	}
}

// Secure asks for LDAP inside TLS, wherever it is.
type Secure struct{}

// Protocol is "ldaps"; the answers are LDAP's.
func (Secure) Protocol() string { return "ldaps" }

// Ports are those of directories inside TLS.
func (Secure) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 636, Name: "ldaps"}, {Proto: probe.TCP, Port: 3269, Name: "msft-gc-ssl"}}
}

// Carrier is the protocol that it need not be asked without.
func (Secure) Carrier() string { return "tls" }

// Ask is Prober's, inside TLS.
func (Secure) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	t.Service = "ldaps"
	return Prober{}.Ask(ctx, d, t)
}

// Ask searches the root DSE: inside TLS when the target's service, or else its
// port, is one of LDAP over TLS.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	if t.Proto == probe.UDP {
		return p.askUDP(ctx, d)
	}
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	a := &probe.Answer{Protocol: p.Protocol()}
	var over net.Conn = c
	if overTLS(t) {
		s, err := secure.Client(ctx, c, t)
		if err != nil {
			return c.Fail(p.Protocol(), err)
		}
		defer s.Close()
		a.Summary = secure.Describe(a, s.ConnectionState(), t, time.Now())
		over = s
	}
	inner := talk.Over(ctx, over, d.Wait())
	r, err := search(inner)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	r.describe(a)
	return a, nil
}

// overTLS says whether the target is to be asked inside TLS.
func overTLS(t probe.Target) bool {
	switch t.Service {
	case "ldaps", "msft-gc-ssl":
		return true
	case "ldap", "msft-gc":
		return false
	}
	return t.Port == 636 || t.Port == 3269
}

// search asks for the root DSE and reads what comes, up to the end of the search.
func search(c *talk.Conn) (result, error) {
	var r result
	if err := c.Send(rootDSE()); err != nil {
		return r, err
	}
	for !r.done {
		b, err := ber.Read(c, maxMessage)
		if err != nil {
			return r, fmt.Errorf("read: %w", err)
		}
		if err := r.add(b, rootID); err != nil {
			return r, err
		}
	}
	return r, c.Send(unbind())
}

// askUDP asks for root DSE and ping at once. Domain controllers of Windows
// Server 2008 and later answer the ping alone, and other directories may answer
// the search alone.
func (p Prober) askUDP(ctx context.Context, d probe.Dialer) (*probe.Answer, error) {
	c, err := d.UDP(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var root, ping result
	both := func(b []byte) bool {
		root.hear(b, rootID)
		ping.hear(b, pingID)
		return root.done && ping.done
	}
	if _, err := c.Write(rootDSE()); err != nil {
		return nil, fmt.Errorf("%s: send: %w", p.Protocol(), err)
	}
	b, err := talk.AskOn(ctx, c, d.Wait(), netlogonPing(), both)
	if !root.done && !ping.done {
		return talk.Fail(p.Protocol(), b, err)
	}
	if ping.done && !root.done && ctx.Err() == nil { // or its question was lost
		_, _ = talk.AskOn(ctx, c, d.Wait(), rootDSE(), both)
	}
	a := &probe.Answer{Protocol: p.Protocol()}
	root.describe(a)
	if l, err := ping.netlogon(); err == nil {
		l.Describe(a)
		if a.Get("dnsHostName") == "" {
			gist(a, l.Host())
		}
		if l.Site() != "" {
			gist(a, "site "+l.Site())
		}
	}
	return a, nil
}
