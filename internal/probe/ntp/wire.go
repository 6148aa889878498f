package ntp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

const (
	size       = 48         // of a packet without extensions (RFC 5905 section 7.3)
	sinceUnix  = 2208988800 // seconds from NTP's era 0 to 1970
	modeClient = 3
	modeServer = 4
)

// packet is a server's answer.
type packet struct {
	leap, version, stratum byte
	precision              int8
	rootDelay, rootDisp    time.Duration
	refID                  [4]byte
	reference              time.Time // zero: never set
	originate              uint64    // what the client sent as its transmit time
	receive, transmit      time.Time
}

// request asks for the time. Its transmit time is a random number and not our
// clock: that tells the answer to it from a forged one, and tells nobody our
// time (RFC 9109's thought, for the time itself).
func request(transmit uint64) []byte {
	b := make([]byte, size)
	b[0] = 4<<3 | modeClient
	binary.BigEndian.PutUint64(b[40:], transmit)
	return b
}

// parse reads an answer.
func parse(b []byte) (packet, error) {
	if len(b) < size {
		return packet{}, octets.ErrShort
	}
	r := octets.New(b)
	first := r.U8()
	if first&7 != modeServer {
		return packet{}, errors.New("not a server's packet")
	}
	p := packet{leap: first >> 6, version: first >> 3 & 7, stratum: r.U8()}
	r.Skip(1) // poll
	p.precision = int8(r.U8())
	p.rootDelay, p.rootDisp = short(r.U32()), short(r.U32())
	copy(p.refID[:], r.Take(4))
	p.reference = timestamp(u64(r))
	p.originate = u64(r)
	p.receive, p.transmit = timestamp(u64(r)), timestamp(u64(r))
	return p, nil
}

func u64(r *octets.Reader) uint64 { return uint64(r.U32())<<32 | uint64(r.U32()) }

// short is a time in seconds with 16 bits of fraction.
func short(v uint32) time.Duration {
	return time.Duration(uint64(v) * uint64(time.Second) >> 16)
}

// timestamp is a time of the era that lies around the present: those before
// 1968 belong to the one from 2036 on. Zero is no time.
func timestamp(v uint64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	s := int64(v >> 32)
	if s < 1<<31 {
		s += 1 << 32
	}
	ns := (v & math.MaxUint32) * uint64(time.Second) >> 32
	return time.Unix(s-sinceUnix, int64(ns)).UTC()
}

// reference words where the server has its time from (RFC 5905 section 7.3,
// RFC 5905 figure 12): a clock's or a kiss's code, or another server.
func (p packet) referenceID() string {
	if p.stratum <= 1 || p.refID[0] >= 'A' && p.refID[0] <= 'Z' && p.stratum >= 16 {
		n := len(p.refID)
		for n > 0 && p.refID[n-1] == 0 {
			n--
		}
		return string(p.refID[:n])
	}
	return netip.AddrFrom4(p.refID).String()
}

// state words stratum and leap: whether one may set a clock by it.
func (p packet) state() string {
	switch {
	case p.stratum == 0:
		return "kiss-o'-death " + p.referenceID()
	case p.leap == 3 || p.stratum >= 16:
		return "not synchronized"
	}
	return fmt.Sprintf("stratum %d", p.stratum)
}

// leapName words the leap indicator.
func leapName(l byte) string {
	return []string{"none", "61 seconds", "59 seconds", "not synchronized"}[l&3]
}
