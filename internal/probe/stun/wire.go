package stun

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Message types and attributes of RFC 8489.
const (
	bindingRequest = 0x0001
	bindingSuccess = 0x0101
	bindingError   = 0x0111

	attrMapped      = 0x0001
	attrErrorCode   = 0x0009
	attrXORMapped   = 0x0020
	attrSoftware    = 0x8022
	attrAlternate   = 0x8023
	attrOtherAddr   = 0x802c
	cookie          = 0x2112a442
	headSize        = 20
	transactionSize = 12
)

// request is a Binding without attributes (RFC 8489 section 5).
func request(transaction []byte) []byte {
	return append([]byte{0, bindingRequest, 0, 0, 0x21, 0x12, 0xa4, 0x42}, transaction...)
}

// header reads a message's header, and says how many bytes follow it.
func header(b []byte, transaction []byte) (kind uint16, n int, err error) {
	r := octets.New(b)
	kind, n = r.U16(), int(r.U16())
	magic, id := r.U32(), r.Take(transactionSize)
	if r.Err() != nil || magic != cookie || string(id) != string(transaction) || n%4 != 0 || n > 2000 || kind != bindingSuccess && kind != bindingError {
		return 0, 0, errors.New("no answer to a Binding request")
	}
	return kind, n, nil
}

// reply is what an answer holds.
type reply struct {
	mapped    string // where the server sees us
	software  string
	other     string // OTHER-ADDRESS, RFC 5780: the server has two
	alternate string // where it sends us
	failure   string // of an error: "401 Unauthenticated"
}

// parse reads the attributes that follow the header.
func parse(b, transaction []byte) (reply, error) {
	var p reply
	r := octets.New(b)
	for r.Len() > 0 {
		kind, n := r.U16(), int(r.U16())
		v := r.Take(n)
		r.Skip(min(-n&3, r.Len()))
		if r.Err() != nil {
			return reply{}, r.Err()
		}
		switch kind {
		case attrXORMapped:
			p.mapped = address(v, transaction)
		case attrMapped:
			if p.mapped == "" { // the other one survives what rewrites addresses
				p.mapped = address(v, nil)
			}
		case attrSoftware:
			p.software = strings.TrimRight(string(v), "\x00")
		case attrOtherAddr:
			p.other = address(v, nil)
		case attrAlternate:
			p.alternate = address(v, nil)
		case attrErrorCode:
			if len(v) >= 4 {
				p.failure = strings.TrimSpace(fmt.Sprintf("%d%02d %s", v[2]&7, v[3]%100, v[4:]))
			}
		}
	}
	return p, nil
}

// address reads a MAPPED-ADDRESS, or, given a transaction, an
// XOR-MAPPED-ADDRESS (RFC 8489 sections 14.1 and 14.2). "" is neither.
func address(v, transaction []byte) string {
	r := octets.New(v)
	r.Skip(1)
	family, port := r.U8(), r.U16()
	a := append([]byte{}, r.Rest()...)
	if transaction != nil {
		mask := append([]byte{0x21, 0x12, 0xa4, 0x42}, transaction...)
		port ^= cookie >> 16
		for i := range min(len(a), len(mask)) {
			a[i] ^= mask[i]
		}
	}
	ip, ok := netip.AddrFromSlice(a)
	if !ok || r.Err() != nil || family != 1 && family != 2 || (family == 1) != ip.Is4() {
		return ""
	}
	return netip.AddrPortFrom(ip, port).String()
}
