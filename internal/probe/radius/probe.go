// Package radius asks a RADIUS server for its state, by Status-Server (RFC
// 5997), and to turn a login away. A server is silent to clients that it does
// not know and as a rule to a wrong secret, by design: silence says nothing
// about it.
package radius

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks RADIUS servers, signing with Secret. It is in no answer, and in
// no datagram either: only a hash of it is.
type Prober struct{ Secret string }

// Protocol is "radius".
func (Prober) Protocol() string { return "radius" }

// Ports are those of authentication and of accounting.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 1812, Name: "radius"}, {Proto: probe.UDP, Port: 1813, Name: "radius-acct"}}
}

// rejects is how long a server may think about a login before it turns it away:
// FreeRADIUS waits a second, against those who guess.
const rejects = 1100 * time.Millisecond

// Ask sends 52 bytes and gets some 20. Where logins are taken it also tries one,
// of the user "portreporter" with a password that is nobody's: a server turns
// that away, at least where it knows this host, without our secret, and where it
// has no Status-Server, as Windows has none.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	c, err := d.UDP(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var id [1]byte
	_, _ = rand.Read(id[:]) // it never fails
	secret := []byte(p.Secret)
	status, wait := request(id[0], secret), d.Wait()
	questions := [][]byte{status}
	if logins(t) {
		login := loginRequest(id[0] ^ 1)
		if _, err := c.Write(login); err != nil {
			return nil, fmt.Errorf("%s: send: %w", p.Protocol(), err)
		}
		questions, wait = append(questions, login), max(wait, rejects)
	}
	var got reply
	b, err := talk.AskOn(ctx, c, wait, status, func(b []byte) bool {
		return slices.ContainsFunc(questions, func(q []byte) bool {
			r, err := parse(b, q, secret)
			got = r
			return err == nil
		})
	})
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "RADIUS, " + codeName(got.code), Raw: talk.Head(b)}
	a.Add("code", codeName(got.code))
	a.Add("replyMessage", got.messages...)
	if !got.genuine {
		a.Add("problem", "the answer is not signed with our secret")
		a.Summary += ", not signed with our secret"
	}
	return a, nil
}

// logins says whether the target's name, or else its port, is that of logins: a
// stranger is not to be alarmed by one.
func logins(t probe.Target) bool {
	return t.Service == "radius" || t.Service != "radius-acct" && t.Port == 1812
}
