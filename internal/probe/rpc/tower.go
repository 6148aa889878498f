package rpc

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// endpoint is one entry of the mapper.
type endpoint struct {
	tower      bool // there is one to read
	uuid       string
	version    string
	annotation string
	sequence   string // of protocols: ncacn_ip_tcp
	host, port string
}

// Protocol identifiers of tower floors (C706 appendix I, MS-RPCE section
// 2.2.1.2.1).
const (
	floorTCP     = 0x07
	floorUDP     = 0x08
	floorIP      = 0x09
	floorUUID    = 0x0d
	floorPipe    = 0x0f
	floorLocal   = 0x10
	floorNetBIOS = 0x11
	floorHTTP    = 0x1f
	floorSPX     = 0x13
	floorIPX     = 0x14
)

// read takes a tower apart: a count of floors, then for each a left side, which
// names a protocol, and a right side, which is an address in it. The first floor
// is the interface. What is malformed ends it; what came before stands.
func (e *endpoint) read(tower []byte) {
	r := octets.New(tower)
	for i := range r.LE16() {
		left := r.Take(int(r.LE16()))
		right := r.Take(int(r.LE16()))
		if r.Err() != nil || len(left) == 0 {
			return
		}
		if i == 0 {
			e.readInterface(left, right)
		} else {
			e.readFloor(left[0], right)
		}
	}
}

// readInterface reads the first floor: UUID and major version left, minor right.
func (e *endpoint) readInterface(left, right []byte) {
	l, r := octets.New(left), octets.New(right)
	if l.U8() != floorUUID {
		return
	}
	id, major, minor := l.Take(16), l.LE16(), r.LE16()
	if l.Err() == nil {
		e.uuid, e.version = uuidText(id), fmt.Sprintf("%d.%d", major, minor)
	}
}

func (e *endpoint) readFloor(protocol byte, b []byte) {
	text := strings.TrimRight(string(b), "\x00")
	switch protocol {
	case floorTCP:
		e.sequence, e.port = "ncacn_ip_tcp", portText(b)
	case floorUDP:
		e.sequence, e.port = "ncadg_ip_udp", portText(b)
	case floorHTTP:
		e.sequence, e.port = "ncacn_http", portText(b)
	case floorPipe:
		e.sequence, e.port = "ncacn_np", text
	case floorLocal:
		e.sequence, e.port = "ncalrpc", text
	case floorSPX:
		e.sequence, e.port = "ncacn_spx", portText(b)
	case floorIPX:
		e.sequence, e.port = "ncadg_ipx", portText(b)
	case floorIP:
		if a, ok := netip.AddrFromSlice(b); ok {
			e.host = a.String()
		}
	case floorNetBIOS:
		e.host = text
	}
}

// portText is a port in network order.
func portText(b []byte) string {
	r := octets.New(b)
	v := r.U16()
	if r.Err() != nil {
		return ""
	}
	return strconv.Itoa(int(v))
}

// describe adds the endpoint's group of fields to an answer.
func (e *endpoint) describe(a *probe.Answer) {
	a.Add("UUID", e.uuid)
	if e.version != "" {
		a.Add("version", e.version)
	}
	if e.annotation != "" {
		a.Add("annotation", e.annotation)
	}
	if n := knownInterface(e.uuid); n != "" {
		a.Add("name", n)
	}
	if e.sequence != "" {
		a.Add("binding", fmt.Sprintf("%s:%s[%s]", e.sequence, e.host, e.port))
	}
}
