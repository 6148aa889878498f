package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Capabilities of the protocol (MySQL's CLIENT_*), those that we use.
const (
	clientProtocol41       = 0x200
	clientSSL              = 0x800
	clientSecureConnection = 0x8000
	clientPluginAuth       = 0x80000
)

// First bytes of a server's packets.
const (
	packetOK         = 0x00
	packetMoreData   = 0x01
	packetSwitchAuth = 0xfe
	packetError      = 0xff
	protocol10       = 10
)

const maxPacket = 16 << 10

// header takes a packet's header apart: three bytes of length, one of sequence.
func header(b []byte) (size int, seq byte, err error) {
	if len(b) < 4 {
		return 0, 0, octets.ErrShort
	}
	size = int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	if size == 0 || size > maxPacket {
		return 0, 0, fmt.Errorf("a packet of %d bytes", size)
	}
	return size, b[3], nil
}

// packet puts a header before a body.
func packet(seq byte, body []byte) []byte {
	n := len(body)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq}, body...)
}

// handshake is what a server says first (Protocol::HandshakeV10).
type handshake struct {
	version      string
	connection   uint32
	capabilities uint32
	plugin       string // authentication, "" with old servers
}

func parseHandshake(b []byte) (handshake, error) {
	r := octets.New(b)
	if r.U8() != protocol10 {
		return handshake{}, errors.New("not protocol 10")
	}
	h := handshake{version: string(r.Until(0)), connection: r.LE32()}
	r.Skip(8 + 1) // authentication data, filler
	h.capabilities = uint32(r.LE16())
	if r.Err() != nil {
		return handshake{}, r.Err()
	}
	if r.Len() == 0 {
		return h, nil
	}
	r.Skip(1 + 2) // character set, status
	h.capabilities |= uint32(r.LE16()) << 16
	size := int(r.U8())
	r.Skip(10)
	r.Skip(max(13, size-8)) // the rest of the authentication data
	if r.Err() != nil {
		return handshake{}, r.Err()
	}
	if h.capabilities&clientPluginAuth != 0 {
		h.plugin = strings.TrimRight(string(r.Rest()), "\x00")
	}
	return h, nil
}

// release is the version as people know it: MariaDB puts one before its own
// that old replicas of MySQL understand.
func (h handshake) release() string {
	if v, ok := strings.CutPrefix(h.version, "5.5.5-"); ok && strings.Contains(v, "MariaDB") {
		return v
	}
	return h.version
}

// refusal is an error packet (Protocol::ERR_Packet).
type refusal struct {
	code    uint16
	state   string // SQLSTATE, "" before the handshake
	message string
}

func (e refusal) String() string { return fmt.Sprintf("error %d: %s", e.code, e.message) }

func parseError(b []byte) (refusal, error) {
	r := octets.New(b)
	if r.U8() != packetError {
		return refusal{}, errors.New("not an error packet")
	}
	e := refusal{code: r.LE16()}
	message := string(r.Rest())
	if r.Err() != nil || e.code == 0 {
		return refusal{}, errors.New("not an error packet")
	}
	if len(message) >= 6 && message[0] == '#' {
		e.state, message = message[1:6], message[6:]
	}
	e.message = message
	return e, nil
}

// tlsRequest is the first part of a login, after which the rest is encrypted
// (Protocol::SSLRequest).
func tlsRequest() []byte {
	b := binary.LittleEndian.AppendUint32(nil, clientProtocol41|clientSSL|clientSecureConnection|clientPluginAuth)
	b = binary.LittleEndian.AppendUint32(b, maxPacket)
	b = append(b, 33) // utf8
	return append(b, make([]byte, 23)...)
}

// login is a whole one (Protocol::HandshakeResponse41), of a user that no
// server has, without a password.
func login(secured bool, plugin string) []byte {
	b := tlsRequest()
	if !secured {
		b[1] &^= clientSSL >> 8
	}
	b = append(b, "portreporter\x00\x00"...)
	return append(append(b, plugin...), 0)
}
