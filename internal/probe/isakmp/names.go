package isakmp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

const (
	statusCodes  = 16384
	cookieWanted = 16390
)

// notifyName is a notification with its name (RFC 2408 section 3.14.1, RFC 7296
// section 3.10.1).
func notifyName(version byte, code uint16) string {
	names := map[uint16]string{1: "INVALID-PAYLOAD-TYPE", 2: "DOI-NOT-SUPPORTED", 5: "INVALID-MAJOR-VERSION", 7: "INVALID-EXCHANGE-TYPE",
		8: "INVALID-FLAGS", 14: "NO-PROPOSAL-CHOSEN", 15: "BAD-PROPOSAL-SYNTAX", 16: "PAYLOAD-MALFORMED", 24: "AUTHENTICATION-FAILED", 30: "UNEQUAL-PAYLOAD-LENGTHS"}
	if version == version2 {
		names = map[uint16]string{1: "UNSUPPORTED_CRITICAL_PAYLOAD", 4: "INVALID_IKE_SPI", 5: "INVALID_MAJOR_VERSION", 7: "INVALID_SYNTAX",
			14: "NO_PROPOSAL_CHOSEN", 17: "INVALID_KE_PAYLOAD", 24: "AUTHENTICATION_FAILED", cookieWanted: "COOKIE"}
	}
	if n, ok := names[code]; ok {
		return fmt.Sprintf("notified %s (%d)", n, code)
	}
	return fmt.Sprintf("notified %d", code)
}

// chosen1 words the transform of an IKEv1 SA: after domain and situation come
// one proposal and its one transform, each behind a generic header.
func chosen1(body []byte) string {
	r := octets.New(body)
	r.Skip(8 + 4 + 2)
	spi := int(r.U8())
	r.Skip(1 + spi + 4 + 4)
	v := map[uint16]uint16{}
	for r.Len() >= 4 && len(v) < maxPayloads {
		typ, value := r.U16(), r.U16()
		if typ&0x8000 == 0 { // a long one, such as a life of four bytes
			r.Skip(int(value))
			continue
		}
		v[typ&0x7fff] = value
	}
	if len(v) == 0 || r.Err() != nil {
		return "no transform"
	}
	cipher := named(v[1], map[uint16]string{1: "DES", 5: "3DES", 7: "AES"})
	if v[14] != 0 {
		cipher += fmt.Sprintf("-%d", v[14])
	}
	return strings.Join([]string{cipher, named(v[2], map[uint16]string{1: "MD5", 2: "SHA1", 4: "SHA2-256", 5: "SHA2-384", 6: "SHA2-512"}),
		named(v[3], map[uint16]string{1: "shared key", 2: "DSS", 3: "RSA signatures", 65001: "XAUTH"}), group(v[4])}, ", ")
}

// chosen2 words the transforms of an IKEv2 SA: one proposal, a transform of
// each kind.
func chosen2(body []byte) string {
	r := octets.New(body)
	r.Skip(4 + 2)
	spi := int(r.U8())
	r.Skip(1 + spi)
	var words []string
	for r.Len() >= 8 && len(words) < maxPayloads {
		r.Skip(2)
		size := int(r.U16())
		t := octets.New(r.Take(size - 4))
		kind := t.U8()
		t.Skip(1)
		id := t.U16()
		if r.Err() != nil || t.Err() != nil {
			break
		}
		words = append(words, transform(kind, id, t))
	}
	if len(words) == 0 {
		return "no transform"
	}
	return strings.Join(words, ", ")
}

func transform(kind byte, id uint16, attributes *octets.Reader) string {
	switch kind {
	case 1:
		s := named(id, map[uint16]string{3: "3DES", 12: "AES-CBC", 20: "AES-GCM-16", 28: "CHACHA20-POLY1305"})
		if attributes.Len() >= 4 && attributes.U16() == 0x8000|14 {
			s += fmt.Sprintf("-%d", attributes.U16())
		}
		return s
	case 2:
		return named(id, map[uint16]string{1: "PRF-MD5", 2: "PRF-SHA1", 5: "PRF-SHA2-256", 6: "PRF-SHA2-384", 7: "PRF-SHA2-512"})
	case 3:
		return named(id, map[uint16]string{1: "MD5-96", 2: "SHA1-96", 12: "SHA2-256-128", 13: "SHA2-384-192", 14: "SHA2-512-256"})
	case 4:
		return group(id)
	}
	return fmt.Sprintf("transform %d of type %d", id, kind)
}

func group(id uint16) string {
	return named(id, map[uint16]string{1: "MODP-768", 2: "MODP-1024", 5: "MODP-1536", 14: "MODP-2048", 15: "MODP-3072", 16: "MODP-4096",
		19: "ECP-256", 20: "ECP-384", group25519: "Curve25519"})
}

func named(id uint16, names map[uint16]string) string {
	if n, ok := names[id]; ok {
		return n
	}
	return fmt.Sprint(id)
}

// vendorName is what a vendor ID is known for, from the documents that define
// them; others in hexadecimal.
func vendorName(id []byte) string {
	for _, k := range []struct{ prefix, name string }{
		{"4a131c81070358455c5728f20e95452f", "RFC 3947 NAT-T"},
		{"90cb80913ebb696e086381b5ec427b1f", "draft-ietf-ipsec-nat-t-ike-02 NAT-T"},
		{"afcad71368a1f1c96b8696fc7757", "RFC 3706 dead peer detection"},
		{"09002689dfd6b712", "XAUTH"},
		{"12f5f28c457168a9702d9fe274cc", "Cisco Unity"},
		{"4048b7d56ebce88525e7de7f00d6c2d3", "fragmentation"},
		{"1e2b516905991c7d7c96fcbfb587e461", "MS NT5 ISAKMPOAKLEY"},
		{"882fe56d6fd20dbc2251613b2ebe5beb", "strongSwan"},
	} {
		if b, err := hex.DecodeString(k.prefix); err == nil && bytes.HasPrefix(id, b) {
			return k.name
		}
	}
	return hex.EncodeToString(id[:min(len(id), 64)])
}
