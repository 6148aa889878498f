package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

const maxMessage = 16 << 10

// sslRequest asks whether the server takes TLS (PostgreSQL's documentation,
// section "Message Formats").
func sslRequest() []byte { return []byte{0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f} }

// startup begins a conversation of protocol 3.0, of a user that no server has.
func startup() []byte {
	b := []byte("\x00\x00\x00\x00\x00\x03\x00\x00user\x00portreporter\x00database\x00portreporter\x00application_name\x00portreporter\x00\x00")
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

// terminate ends a conversation.
func terminate() []byte { return []byte{'X', 0, 0, 0, 4} }

// size takes a message's header apart: its type, and how many bytes follow.
func size(head []byte) (kind byte, n int, err error) {
	r := octets.New(head)
	kind, length := r.U8(), r.U32()
	if r.Err() != nil || length < 4 || length > maxMessage || !strings.ContainsRune("RESKZNv", rune(kind)) {
		return 0, 0, errors.New("no message of PostgreSQL")
	}
	return kind, int(length) - 4, nil
}

// notice is an ErrorResponse: fields by their one-letter names.
func notice(b []byte) (map[byte]string, error) {
	r := octets.New(b)
	fields := map[byte]string{}
	for {
		name := r.U8()
		if r.Err() != nil {
			return nil, r.Err()
		}
		if name == 0 {
			return fields, nil
		}
		fields[name] = string(r.Until(0))
	}
}

// authentication words the demand of an Authentication message, with the
// mechanisms where there is a choice. What is asked for is "trust" when nothing
// is.
func authentication(b []byte) (method string, mechanisms []string, err error) {
	r := octets.New(b)
	code := r.U32()
	if r.Err() != nil {
		return "", nil, r.Err()
	}
	switch code {
	case 0:
		return "trust", nil, nil
	case 2:
		return "kerberos", nil, nil
	case 3:
		return "password", nil, nil
	case 5:
		return "md5", nil, nil
	case 7:
		return "gss", nil, nil
	case 9:
		return "sspi", nil, nil
	case 10:
		for {
			m := string(r.Until(0))
			if m == "" {
				return "sasl", mechanisms, r.Err()
			}
			mechanisms = append(mechanisms, m)
		}
	}
	return fmt.Sprintf("method %d", code), nil, nil
}

// parameter is a ParameterStatus: a name and its value.
func parameter(b []byte) (name, value string) {
	r := octets.New(b)
	return string(r.Until(0)), string(r.Until(0))
}
