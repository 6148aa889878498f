package prlog

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

var errRow = errors.New("not a row of a port table")

// row reads a table's row, with tabs or blanks between its columns, or nothing
// between the first two:
//
//	1096    TCP 3389   172.16.16.150   ESTABLISHED   172.16.16.100:1486
//	4:System       UDP 445     0.0.0.0           *:*
//	800UDP 1026 0.0.0.0 :
func (p *pids) row(line []byte) (m Mapping, err error) {
	at := protoIndex(line)
	if at < 0 {
		return m, errRow
	}
	pid, name, _ := bytes.Cut(bytes.TrimSpace(line[:at]), []byte(":"))
	n, ok := number(pid, 1<<32-1)
	if !ok {
		return m, errRow
	}
	m.PID, m.Name = uint32(n), p.head.text(name)
	f := strings.Fields(string(line[at:]))
	if len(f) < 3 {
		return m, errRow
	}
	if m.Proto, err = parseProto([]byte(f[0])); err != nil {
		return m, err
	}
	if m.Local, err = addrPort([]byte(f[2]), []byte(f[1])); err != nil {
		return m, err
	}
	f = f[3:]
	if m.Proto == activity.TCP {
		return m, m.tcp(f)
	}
	if len(f) > 0 {
		m.Remote, _ = netip.ParseAddrPort(f[len(f)-1]) // "*:*" and ":" are none
	}
	return m, nil
}

// protoIndex finds where the Port column begins: with a protocol, a blank and
// a digit. The last such place counts, for names come before.
func protoIndex(line []byte) int {
	at := -1
	for _, proto := range [...]string{"TCP ", "UDP "} {
		for end := len(line); end > 0; {
			i := bytes.LastIndex(line[:end], []byte(proto))
			if i < 0 {
				break
			}
			if i+4 < len(line) && line[i+4] >= '0' && line[i+4] <= '9' {
				at = max(at, i)
				break
			}
			end = i
		}
	}
	return at
}

// tcp reads the state, which may be of several words, and the remote end. That
// of a listener means nothing: PortQry printed a port of chance there.
func (m *Mapping) tcp(f []string) error {
	if len(f) == 0 {
		return nil // truncated: the port is still known
	}
	words := f
	last := f[len(f)-1]
	remote, err := netip.ParseAddrPort(last)
	_, addrErr := netip.ParseAddr(last)
	if err == nil || addrErr == nil {
		words = f[:len(f)-1]
	}
	if len(words) > 0 {
		state, ok := parseState(strings.Join(words, " "))
		if !ok {
			return errors.New("unknown TCP state")
		}
		m.State = state
	}
	if m.State != activity.StateListen && err == nil {
		m.Remote = netip.AddrPortFrom(remote.Addr().WithZone("").Unmap(), remote.Port())
	}
	return nil
}
