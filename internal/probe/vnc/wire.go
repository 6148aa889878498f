package vnc

import (
	"errors"
	"fmt"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

const versionSize = 12 // of "RFB 003.008\n" (RFC 6143 section 7.1.1)

// parseVersion reads the server's greeting.
func parseVersion(b []byte) (major, minor int, err error) {
	if len(b) != versionSize || string(b[:4]) != "RFB " || b[7] != '.' || b[11] != '\n' {
		return 0, 0, errors.New("no RFB greeting")
	}
	if major, err = number(b[4:7]); err != nil {
		return 0, 0, err
	}
	minor, err = number(b[8:11])
	return major, minor, err
}

func number(b []byte) (n int, err error) {
	for _, d := range b {
		if d < '0' || d > '9' {
			return 0, errors.New("no RFB greeting")
		}
		n = 10*n + int(d-'0')
	}
	return n, nil
}

// reply is the version that we answer with: the server's own, up to 3.8. Any
// other than 3.7 and 3.8 is to be taken for 3.3 (section 7.1.1).
func reply(major, minor int) (text string, old bool) {
	switch {
	case major > 3 || major == 3 && minor >= 8:
		return "RFB 003.008\n", false
	case major == 3 && minor == 7:
		return "RFB 003.007\n", false
	}
	return "RFB 003.003\n", true
}

// securityName names a type of IANA's registry "RFB Security Types".
func securityName(t uint32) string {
	names := map[uint32]string{1: "None", 2: "VNC Authentication", 5: "RA2", 6: "RA2ne", 7: "SSPI", 8: "SSPIne", 16: "Tight", 17: "Ultra", 18: "TLS", 19: "VeNCrypt",
		20: "SASL", 21: "MD5", 22: "xvp", 23: "Secure Tunnel", 24: "Integrated SSH", 30: "Apple Remote Desktop", 35: "Mac OS X", 129: "RSA-AES-256", 130: "RSA-AES-256 Unencrypted",
		113: "MS-Logon II", 133: "RSA-AES Two-step"}
	if n := names[t]; n != "" {
		return n
	}
	return fmt.Sprintf("type %d", t)
}

const maxReason = 1024

// reasonLength reads how long the reason of a refusal is.
func reasonLength(b []byte) (int, error) {
	r := octets.New(b)
	n := r.U32()
	if r.Err() != nil || n > maxReason {
		return 0, errors.New("no reason")
	}
	return int(n), nil
}
