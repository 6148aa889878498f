package rdp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Types of a negotiation (MS-RDPBCGR 2.2.1.1.1, 2.2.1.2.1, 2.2.1.2.2).
const (
	negRequest  = 1
	negResponse = 2
	negFailure  = 3
)

// Security protocols, as bits (2.2.1.1.1).
const (
	protocolSSL      = 1
	protocolHybrid   = 2
	protocolRDSTLS   = 4
	protocolHybridEx = 8
)

// request is an X.224 connection request that offers what clients offer; RDSTLS
// is for redirected ones, and xrdp 0.9 hangs up on it:
//
//	TPKT: 3, 0, length | X.224: length, CR, dst, src, class | RDP_NEG_REQ
func request() []byte {
	return []byte{3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, negRequest, 0, 8, 0,
		protocolSSL | protocolHybrid | protocolHybridEx, 0, 0, 0}
}

// confirm is what the server chose, or why it did not.
type confirm struct {
	kind  byte   // negResponse, negFailure; 0: an old server, which does not negotiate
	flags byte   // of a response
	value uint32 // protocol chosen, or failure code
}

// length reads a TPKT header and says how many bytes follow it.
func length(head []byte) (int, error) {
	r := octets.New(head)
	version := r.U8()
	r.Skip(1)
	n := int(r.U16())
	if r.Err() != nil || version != 3 || n < 11 || n > 1024 {
		return 0, errors.New("no TPKT header")
	}
	return n - 4, nil
}

// parseConfirm reads the X.224 connection confirm that follows a TPKT header.
func parseConfirm(b []byte) (confirm, error) {
	r := octets.New(b)
	n := int(r.U8())
	if r.U8()&0xf0 != 0xd0 || n != len(b)-1 {
		return confirm{}, errors.New("no connection confirm")
	}
	r.Skip(5) // references, class
	if r.Len() == 0 && r.Err() == nil {
		return confirm{}, nil
	}
	c := confirm{kind: r.U8(), flags: r.U8()}
	size := r.LE16()
	c.value = r.LE32()
	if r.Err() != nil || size != 8 || c.kind != negResponse && c.kind != negFailure {
		return confirm{}, errors.New("no negotiation in the connection confirm")
	}
	return c, nil
}

// protocol words what was chosen.
func protocol(v uint32) string {
	switch v {
	case 0:
		return "standard RDP security"
	case protocolSSL:
		return "TLS"
	case protocolHybrid:
		return "CredSSP"
	case protocolRDSTLS:
		return "RDSTLS"
	case protocolHybridEx:
		return "CredSSP with early user authorization"
	}
	return fmt.Sprintf("security protocol %#x", v)
}

// failure names a failure code (2.2.1.2.2).
func failure(v uint32) string {
	names := []string{"SSL_REQUIRED_BY_SERVER", "SSL_NOT_ALLOWED_BY_SERVER", "SSL_CERT_NOT_ON_SERVER", "INCONSISTENT_FLAGS",
		"HYBRID_REQUIRED_BY_SERVER", "SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER"}
	if v >= 1 && int(v) <= len(names) {
		return names[v-1]
	}
	return fmt.Sprintf("failure %d", v)
}

// flagNames names the flags of a response (2.2.1.2.1).
func flagNames(f byte) []string {
	var all []string
	for i, name := range []string{"EXTENDED_CLIENT_DATA_SUPPORTED", "DYNVC_GFX_PROTOCOL_SUPPORTED", "NEGRSP_FLAG_RESERVED",
		"RESTRICTED_ADMIN_MODE_SUPPORTED", "REDIRECTED_AUTHENTICATION_MODE_SUPPORTED"} {
		if f&(1<<i) != 0 && !strings.Contains(name, "RESERVED") {
			all = append(all, name)
		}
	}
	return all
}
