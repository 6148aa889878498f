// Package dnsname reads and writes domain names as DNS messages hold them (RFC
// 1035 section 4.1.4), which Active Directory's answer to an LDAP ping does too.
package dnsname

import (
	"errors"
	"strings"
)

// ErrMalformed says that bytes are no name.
var ErrMalformed = errors.New("malformed domain name")

// Limits of RFC 1035 section 2.3.4; a name that points on more often than it
// can have labels runs in a circle.
const (
	maxName  = 255
	maxLabel = 63
	maxHops  = 128
)

// Read reads the name that begins at msg[at], and returns where what follows it
// begins. The root is "."; in labels, points and backslashes, control
// characters and what is no ASCII are escaped as master files do (section 5.1),
// so that each name reads in one way. A name may be "" only with an error.
func Read(msg []byte, at int) (name string, next int, err error) {
	var s strings.Builder
	length, hops := 0, 0
	for next = -1; ; {
		if at < 0 || at >= len(msg) {
			return "", 0, ErrMalformed
		}
		n := int(msg[at])
		switch {
		case n == 0:
			if next < 0 {
				next = at + 1
			}
			if s.Len() == 0 {
				return ".", next, nil
			}
			return s.String()[:s.Len()-1], next, nil
		case n >= 0xc0: // points to where it goes on
			if hops++; at+1 >= len(msg) || hops > maxHops {
				return "", 0, ErrMalformed
			}
			if next < 0 {
				next = at + 2
			}
			at = (n&0x3f)<<8 | int(msg[at+1])
		case n > maxLabel || at+1+n > len(msg) || length+n+1 > maxName:
			return "", 0, ErrMalformed
		default:
			escape(&s, msg[at+1:at+1+n])
			length += n + 1
			at += 1 + n
		}
	}
}

func escape(s *strings.Builder, label []byte) {
	for _, c := range label {
		switch {
		case c == '.' || c == '\\':
			s.WriteByte('\\')
			s.WriteByte(c)
		case c < ' ' || c > '~':
			s.Write([]byte{'\\', '0' + c/100, '0' + c/10%10, '0' + c%10})
		default:
			s.WriteByte(c)
		}
	}
	s.WriteByte('.')
}

// Append writes a name of plain labels, "." or "" being the root.
func Append(b []byte, name string) []byte {
	for label := range strings.SplitSeq(strings.Trim(name, "."), ".") {
		if label != "" {
			b = append(append(b, byte(min(len(label), maxLabel))), label[:min(len(label), maxLabel)]...)
		}
	}
	return append(b, 0)
}
