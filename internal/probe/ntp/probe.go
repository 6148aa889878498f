// Package ntp asks a time server for the time (RFC 5905), and tells how far the
// clock of this machine is from it.
package ntp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks time servers, as a client does.
type Prober struct{}

// Protocol is "ntp".
func (Prober) Protocol() string { return "ntp" }

// Ports are NTP's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 123, Name: "ntp"}}
}

// Ask sends one question of 48 bytes and gets as many.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	cookie := binary.BigEndian.Uint64(nonce[:])
	sent := time.Now()
	b, err := talk.Ask(ctx, d, request(cookie), func(b []byte) bool {
		got, err := parse(b)
		return err == nil && got.originate == cookie
	})
	back := time.Now()
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	got, err := parse(b)
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	return p.answer(got, sent, back), nil
}

// answer words a packet that was asked for and came at these times.
func (p Prober) answer(got packet, sent, back time.Time) *probe.Answer {
	a := &probe.Answer{Protocol: p.Protocol()}
	a.Add("version", strconv.Itoa(int(got.version)))
	a.Add("leap", leapName(got.leap))
	a.Add("stratum", strconv.Itoa(int(got.stratum)))
	a.Add("referenceID", got.referenceID())
	a.Add("precision", fmt.Sprintf("%.3g s", math.Exp2(float64(got.precision))))
	a.Add("rootDelay", got.rootDelay.String())
	a.Add("rootDispersion", got.rootDisp.String())
	if !got.reference.IsZero() {
		a.Add("referenceTime", got.reference.Format(time.RFC3339Nano))
	}
	a.Summary = fmt.Sprintf("NTPv%d, %s", got.version, got.state())
	if got.stratum == 0 || got.transmit.IsZero() {
		return a // a kiss has no time
	}
	// How far their clock is ahead of ours, the way there and back being of one
	// length (section 8). A question that was sent twice makes that worse.
	offset := (got.receive.Sub(sent) + got.transmit.Sub(back)) / 2
	a.Add("transmitTime", got.transmit.Format(time.RFC3339Nano))
	a.Add("offset", offset.Round(time.Microsecond).String())
	a.Summary += fmt.Sprintf(", %s, clock offset %s", got.transmit.Format(time.RFC3339), offset.Round(100*time.Microsecond))
	return a
}
