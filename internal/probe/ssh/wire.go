package ssh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

const (
	msgDisconnect = 1
	msgKexInit    = 20
	maxPacket     = 35000 // RFC 4253 section 6.1
	byApplication = 11    // reason of a disconnect, section 11.1
)

// version is the line by which both sides begin (RFC 4253 section 4.2).
type version struct {
	proto    string // "2.0"; "1.99" speaks 1 too
	software string
	comments string
}

// parseVersion reads "SSH-protoversion-softwareversion SP comments".
func parseVersion(line string) (version, error) {
	rest, ok := strings.CutPrefix(line, "SSH-")
	if !ok {
		return version{}, fmt.Errorf("no version line: %q", line)
	}
	proto, rest, ok := strings.Cut(rest, "-")
	if !ok || proto == "" {
		return version{}, fmt.Errorf("version line without a protocol: %q", line)
	}
	software, comments, _ := strings.Cut(rest, " ")
	return version{proto, software, comments}, nil
}

// lists are the name lists of a KEXINIT in their order, by RFC 4253's names.
func lists() []string {
	return []string{
		"kex_algorithms", "server_host_key_algorithms",
		"encryption_algorithms_client_to_server", "encryption_algorithms_server_to_client",
		"mac_algorithms_client_to_server", "mac_algorithms_server_to_client",
		"compression_algorithms_client_to_server", "compression_algorithms_server_to_client",
	}
}

// payload takes the payload out of a packet before keys are agreed on, given
// what follows its length field:
//
//	byte padding_length | payload | padding
func payload(b []byte) ([]byte, error) {
	if len(b) < 2 || int(b[0]) > len(b)-2 {
		return nil, fmt.Errorf("packet of %d bytes", len(b))
	}
	return b[1 : len(b)-int(b[0])], nil
}

// kexInit adds the lists of a KEXINIT; those of the client's direction only
// where they differ from the server's.
func kexInit(p []byte, a *probe.Answer) error {
	r := octets.New(p)
	if r.U8() != msgKexInit {
		return errors.New("no KEXINIT")
	}
	r.Skip(16) // cookie
	values := map[string]string{}
	for _, name := range lists() {
		values[name] = string(r.Take(int(r.U32())))
	}
	if err := r.Err(); err != nil {
		return err
	}
	for _, name := range lists() {
		if twin, ok := strings.CutSuffix(name, "client_to_server"); ok && values[name] == values[twin+"server_to_client"] {
			continue
		}
		if values[name] != "" {
			a.Add(name, strings.Split(values[name], ",")...)
		}
	}
	return nil
}

// disconnect is the packet that ends a conversation before keys: so the server
// logs a client that left, and not a broken one.
func disconnect() []byte {
	p := binary.BigEndian.AppendUint32([]byte{msgDisconnect}, byApplication)
	p = append(p, 0, 0, 0, 0, 0, 0, 0, 0) // no description, no language
	pad := 8 - (5+len(p))%8
	if pad < 4 {
		pad += 8
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(p)+pad))
	b = append(append(b, byte(pad)), p...)
	return append(b, make([]byte, pad)...)
}
