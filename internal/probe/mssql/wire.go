package mssql

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Numbers of MC-SQLR section 2.2 and MS-TDS sections 2.2.3.1 and 2.2.6.5.
const (
	askInstances   = 0x03 // CLNT_UCAST_EX
	instancesReply = 0x05 // SVR_RESP

	headerSize   = 8
	typePrelogin = 0x12
	typeReply    = 0x04
	statusLast   = 1
	maxReply     = 4096

	optionVersion    = 0
	optionEncryption = 1
	optionInstance   = 2
	optionThread     = 3
	optionEnd        = 0xff
)

var errNoAnswer = errors.New("not SQL Server")

// instance is what the browser says of one, in its order.
type instance []probe.Field

// parseInstances reads SVR_RESP: its type, the length of the text with the
// lowest byte first, and for each instance "name;value;" pairs and one ";".
func parseInstances(b []byte) ([]instance, error) {
	r := octets.New(b)
	typ, size := r.U8(), int(r.LE16())
	if r.Err() != nil || typ != instancesReply || size != r.Len() || size == 0 {
		return nil, errNoAnswer
	}
	words := strings.Split(string(r.Rest()), ";")
	var all []instance
	var one instance
	for i := 0; i+1 < len(words); {
		if words[i] == "" { // the end of an instance
			if one != nil {
				all = append(all, one)
			}
			one, i = nil, i+1
			continue
		}
		one = append(one, probe.Field{Name: words[i], Values: []string{words[i+1]}})
		i += 2
	}
	if one != nil {
		all = append(all, one)
	}
	if len(all) == 0 || all[0][0].Name != "ServerName" {
		return nil, errNoAnswer
	}
	return all, nil
}

// gist names an instance, its version and its port.
func (i instance) gist() string {
	a := probe.Answer{Fields: i}
	s := a.Get("InstanceName") + " " + a.Get("Version")
	if port := a.Get("tcp"); port != "" {
		s += ", tcp " + port
	}
	return s
}

// login is the answer to PRELOGIN.
type login struct{ version, encryption string }

// preloginRequest has a header, a table of options (number, offset, length) and
// their data: a version of ours, no encryption but of the login, the first
// instance, no thread.
func preloginRequest() []byte {
	options := []struct {
		number byte
		data   []byte
	}{{optionVersion, make([]byte, 6)}, {optionEncryption, []byte{0}}, {optionInstance, []byte{0}}, {optionThread, make([]byte, 4)}}
	at := 5*len(options) + 1
	var table, data []byte
	for _, o := range options {
		table = binary.BigEndian.AppendUint16(append(table, o.number), uint16(at+len(data)))
		table = binary.BigEndian.AppendUint16(table, uint16(len(o.data)))
		data = append(data, o.data...)
	}
	body := append(append(table, optionEnd), data...)
	b := binary.BigEndian.AppendUint16([]byte{typePrelogin, statusLast}, uint16(headerSize+len(body)))
	return append(append(b, 0, 0, 0, 0), body...)
}

// replySize is how long the body after this header is.
func replySize(head []byte) (int, error) {
	r := octets.New(head)
	typ, status, size := r.U8(), r.U8(), int(r.U16())
	if r.Err() != nil || typ != typeReply || status&statusLast == 0 || size <= headerSize || size > maxReply {
		return 0, errNoAnswer
	}
	return size - headerSize, nil
}

func parsePrelogin(b []byte) (login, error) {
	var l login
	for r := octets.New(b); ; {
		number := r.U8()
		if number == optionEnd && r.Err() == nil {
			break
		}
		at, size := int(r.U16()), int(r.U16())
		if r.Err() != nil || at+size > len(b) {
			return login{}, errNoAnswer
		}
		v := octets.New(b[at : at+size])
		switch number {
		case optionVersion:
			l.version = fmt.Sprintf("%d.%d.%d.%d", v.U8(), v.U8(), v.U16(), v.U16())
		case optionEncryption:
			l.encryption = encryptionName(v.U8())
		}
		if v.Err() != nil {
			return login{}, errNoAnswer
		}
	}
	if l.version == "" || l.encryption == "" {
		return login{}, errNoAnswer
	}
	return l, nil
}

// encryptionName words what the server will have.
func encryptionName(v byte) string {
	names := []string{"off", "on", "not supported", "required"}
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("0x%02x", v)
}
