package radius

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Codes and attributes of RFC 2865, RFC 2866, RFC 5997 and RFC 3579.
const (
	codeAccessRequest = 1
	codeStatusServer  = 12

	attrUserName             = 1
	attrUserPassword         = 2
	attrReplyMessage         = 18
	attrNASIdentifier        = 32
	attrMessageAuthenticator = 80
	headSize                 = 20
	maxSize                  = 4096
)

// request is a Status-Server (RFC 5997 section 4), signed with the secret:
//
//	code | id | length | authenticator, 16 | NAS-Identifier | Message-Authenticator
func request(id byte, secret []byte) []byte {
	const name = "portreporter"
	b := append([]byte{codeStatusServer, id, 0, 0}, make([]byte, 16)...)
	_, _ = rand.Read(b[4:headSize]) // it never fails
	b = append(append(b, attrNASIdentifier, byte(2+len(name))), name...)
	b = append(append(b, attrMessageAuthenticator, 18), make([]byte, md5.Size)...)
	b[2], b[3] = byte(len(b)>>8), byte(len(b))
	mac := hmac.New(md5.New, secret)
	mac.Write(b)
	copy(b[len(b)-md5.Size:], mac.Sum(nil))
	return b
}

// loginRequest is an Access-Request (RFC 2865 section 4.1). It has no
// Message-Authenticator, as one that is wrong would be met with silence, and a
// password that hides nothing.
func loginRequest(id byte) []byte {
	const user = "portreporter"
	b := append([]byte{codeAccessRequest, id, 0, 0}, make([]byte, 16)...)
	_, _ = rand.Read(b[4:headSize]) // it never fails
	b = append(append(b, attrUserName, byte(2+len(user))), user...)
	b = append(append(b, attrUserPassword, 18), make([]byte, 16)...)
	_, _ = rand.Read(b[len(b)-16:])
	b[2], b[3] = byte(len(b)>>8), byte(len(b))
	return b
}

// reply is what a server answers.
type reply struct {
	code     byte
	messages []string // Reply-Message
	genuine  bool     // signed with our secret
}

// parse reads the answer to a request.
func parse(b, request, secret []byte) (reply, error) {
	r := octets.New(b)
	p := reply{code: r.U8()}
	id, n := r.U8(), int(r.U16())
	authenticator := r.Take(16)
	if r.Err() != nil || id != request[1] || n < headSize || n > min(len(b), maxSize) || codeName(p.code) == "" {
		return reply{}, errors.New("no answer to our questions")
	}
	r = octets.New(b[headSize:n])
	for r.Len() > 0 {
		kind, size := r.U8(), int(r.U8())
		v := r.Take(size - 2)
		if r.Err() != nil {
			return reply{}, fmt.Errorf("attribute %d: %w", kind, r.Err())
		}
		if kind == attrReplyMessage {
			p.messages = append(p.messages, string(v))
		}
	}
	p.genuine = bytes.Equal(authenticator, sign(b[:n], request, secret))
	return p, nil
}

// sign computes a Response Authenticator (RFC 2865 section 3).
func sign(b, request, secret []byte) []byte {
	h := md5.New()
	h.Write(b[:4])
	h.Write(request[4:headSize])
	h.Write(b[headSize:])
	h.Write(secret)
	return h.Sum(nil)
}

// codeName names what may answer them, "" anything else.
func codeName(c byte) string {
	return map[byte]string{2: "Access-Accept", 3: "Access-Reject", 5: "Accounting-Response", 11: "Access-Challenge"}[c]
}
