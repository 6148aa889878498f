package mongodb_test

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/mongodb"
)

func text(name, v string) string {
	return "\x02" + name + "\x00" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(v)+1))) + v + "\x00"
}

func yes(name string) string { return "\x08" + name + "\x00\x01" }

const ok = "\x01ok\x00\x00\x00\x00\x00\x00\x00\xf0\x3f"

// serve is a server written from MongoDB's wire protocol and bsonspec.org, as
// Debian has none: it answers each command with its elements.
func serve(answers map[string]string) func(net.Conn) {
	return func(c net.Conn) {
		for {
			head := make([]byte, 16)
			if _, err := io.ReadFull(c, head); err != nil {
				return
			}
			q := make([]byte, binary.LittleEndian.Uint32(head)-16)
			if _, err := io.ReadFull(c, q); err != nil {
				return
			}
			command, _, _ := strings.Cut(string(q[10:]), "\x00")
			body := answers[command] + "\x00"
			b := binary.LittleEndian.AppendUint32(nil, uint32(16+5+4+len(body)))
			b = append(append(b, 9, 9, 9, 9), head[4:8]...)
			b = append(b, "\xdd\x07\x00\x00\x00\x00\x00\x00\x00"...)
			b = binary.LittleEndian.AppendUint32(b, uint32(4+len(body)))
			if _, err := c.Write(append(b, body...)); err != nil {
				return
			}
		}
	}
}

func TestServers(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		answers    map[string]string
	}{
		{"of a set", "MongoDB 6.0.5, set rs0, primary", map[string]string{"hello": yes("isWritablePrimary") + text("setName", "rs0") + ok, "buildInfo": text("version", "6.0.5") + ok}},
		{"before hello", "MongoDB 4.0.1, secondary", map[string]string{"hello": text("errmsg", "no such command"), "isMaster": yes("secondary") + ok, "buildInfo": text("version", "4.0.1") + ok}},
		{"a router that hides its version", "MongoDB, router", map[string]string{"hello": text("msg", "isdbgrid") + ok, "buildInfo": text("errmsg", "requires authentication")}},
	} {
		addr := probetest.Serve(t, serve(tt.answers))
		if a := probetest.Ask(t, mongodb.Prober{}, probe.TCP, addr); a.Summary != tt.want {
			t.Errorf("%s: %+v, want %q", tt.name, a, tt.want)
		}
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, mongodb.Prober{}, probe.TCP)
}
