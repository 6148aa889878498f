// Package smb asks a file server which SMB dialects it speaks, and whether it
// signs and encrypts, by the NEGOTIATE of MS-SMB2 and of SMB 1. It never logs
// on.
package smb

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks file servers.
type Prober struct{}

// Protocol is "smb".
func (Prober) Protocol() string { return "smb" }

// Ports are those of SMB over TCP; 139 speaks NetBIOS first.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 445, Name: "microsoft-ds"}}
}

// Ask offers all dialects of SMB 2 and 3; when one was chosen, it offers each
// of the others and SMB 1 in a connection of its own, for servers tell their
// best only. A server with SMB 1 alone is told too.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	a := &probe.Answer{Protocol: p.Protocol()}
	n, seen, err := offer(ctx, d, dialects()...)
	switch {
	case err == nil:
		speaks, old := others(ctx, d, n.dialect)
		n.describe(a, append([]string{dialectName(n.dialect)}, speaks...), old)
		if late(ctx) {
			a.Add("incomplete", "no time to ask for every dialect")
		}
	case speaks1(ctx, d):
		a.Add("dialects", "SMB 1")
		a.Summary = "SMB 1 alone"
	default:
		return talk.Fail(p.Protocol(), seen, err)
	}
	return a, nil
}

// late tells whether the time is up: connections notice that before ctx does.
func late(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(end)
}

// offer negotiates over a connection of its own, and returns what the peer
// said beside what was understood of it.
func offer(ctx context.Context, d probe.Dialer, ds ...uint16) (negotiated, []byte, error) {
	b, seen, err := exchange(ctx, d, negotiateRequest(ds...))
	if err != nil {
		return negotiated{}, seen, err
	}
	n, err := parseNegotiated(b)
	return n, seen, err
}

// exchange sends one message and reads one, without the length that both have
// before them.
func exchange(ctx context.Context, d probe.Dialer, question []byte) (answer, seen []byte, err error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	answer, err = over(c, question)
	return answer, c.Seen(), err
}

func over(c *talk.Conn, question []byte) (answer []byte, err error) {
	if err := c.Send(question); err != nil {
		return nil, err
	}
	_, answer, err = c.Framed(4, func(head []byte) (int, error) { return int(binary.BigEndian.Uint32(head)), nil })
	return answer, err
}

// Describe adds to a what the server at the other end of a NetBIOS session says:
// the best of its dialects, and what Ask tells beside them.
func Describe(c *talk.Conn, a *probe.Answer) error {
	b, err := over(c, negotiateRequest(dialects()...))
	if err != nil {
		return err
	}
	n, err := parseNegotiated(b)
	if err == nil {
		n.describe(a, []string{dialectName(n.dialect)}, false)
	}
	return err
}

// others are the dialects below best that the server takes as well, and whether
// it takes SMB 1. All are asked at once: a server may start a process for each
// connection, which takes it longer than its answer.
func others(ctx context.Context, d probe.Dialer, best uint16) (names []string, old bool) {
	below := slices.DeleteFunc(dialects(), func(dialect uint16) bool { return dialect >= best })
	takes := make([]bool, len(below))
	var group sync.WaitGroup
	group.Go(func() { old = speaks1(ctx, d) })
	for i, dialect := range below {
		group.Go(func() {
			n, _, err := offer(ctx, d, dialect)
			takes[i] = err == nil && n.dialect == dialect
		})
	}
	group.Wait()
	for i, dialect := range below {
		if takes[i] {
			names = append(names, dialectName(dialect))
		}
	}
	return names, old
}

// speaks1 asks for SMB 1. Servers that speak nothing else hang up on the
// NEGOTIATE of SMB 2 without a word, so that it is asked after an error too.
func speaks1(ctx context.Context, d probe.Dialer) bool {
	b, _, err := exchange(ctx, d, smb1Request())
	return err == nil && smb1Accepted(b)
}

// describe words what was agreed on.
func (n negotiated) describe(a *probe.Answer, speaks []string, old bool) {
	if old {
		speaks = append(speaks, "SMB 1")
	}
	signing := "signing optional"
	if n.security&2 != 0 {
		signing = "signing required"
	}
	a.Summary = speaks[0] + ", " + signing
	if old {
		a.Summary += ", SMB 1 too"
	}
	a.Add("dialects", speaks...)
	a.Add("signing", strings.TrimPrefix(signing, "signing "))
	if n.dialect == dialect311 {
		a.Add("cipher", cipherName(n.cipher))
	}
	a.Add("serverGuid", guid(n.guid))
	if name := spelled(n.guid); name != "" {
		a.Add("serverName", name)
		a.Add("likely", "Samba, whose identifier is its name")
		a.Summary += ", " + name
	}
	a.Add("capabilities", capabilityNames(n.capabilities)...)
	a.Add("maxSizes", fmt.Sprintf("transact %d, read %d, write %d", n.transact, n.read, n.writ))
	if !n.system.IsZero() {
		a.Add("systemTime", n.system.Format(time.RFC3339))
	}
	if !n.start.IsZero() {
		a.Add("serverStartTime", n.start.Format(time.RFC3339))
	}
}
