package ssh

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
)

func TestParseVersion(t *testing.T) {
	for line, want := range map[string]version{
		"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7": {"2.0", "OpenSSH_9.2p1", "Debian-2+deb12u7"},
		"SSH-1.99-Cisco-1.25":                    {"1.99", "Cisco-1.25", ""},
		"SSH-2.0-":                               {"2.0", "", ""},
		"SSH--x":                                 {},
		"SSH-2.0":                                {},
		"HTTP/1.1 400":                           {},
	} {
		got, err := parseVersion(line)
		if got != want || (err == nil) != (want.proto != "") {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
}

// kex builds a KEXINIT's payload.
func kex(names ...string) []byte {
	b := append([]byte{msgKexInit}, make([]byte, 16)...)
	for _, n := range names {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(n))), n...)
	}
	return append(b, make([]byte, 5)...)
}

func TestKexInit(t *testing.T) {
	var a probe.Answer
	if err := kexInit(kex("curve25519-sha256,ext-info-s", "ssh-ed25519", "aes128-ctr", "aes128-ctr", "hmac-sha1", "hmac-sha2-256", "none", "none", "", ""), &a); err != nil {
		t.Fatal(err)
	}
	want := []probe.Field{
		{Name: "kex_algorithms", Values: []string{"curve25519-sha256", "ext-info-s"}},
		{Name: "server_host_key_algorithms", Values: []string{"ssh-ed25519"}},
		{Name: "encryption_algorithms_server_to_client", Values: []string{"aes128-ctr"}},
		{Name: "mac_algorithms_client_to_server", Values: []string{"hmac-sha1"}},
		{Name: "mac_algorithms_server_to_client", Values: []string{"hmac-sha2-256"}},
		{Name: "compression_algorithms_server_to_client", Values: []string{"none"}},
	}
	if d := cmp.Diff(want, a.Fields); d != "" {
		t.Error(d)
	}
	for name, b := range map[string][]byte{"nothing": nil, "another message": {21}, "no lists": make([]byte, 17), "cut": kex("a")[:30]} {
		if err := kexInit(b, &a); err == nil {
			t.Errorf("%s is a KEXINIT", name)
		}
	}
}

// TestDisconnect: the packet is a multiple of 8 bytes with at least 4 of
// padding (RFC 4253 section 6), and gives back its payload.
func TestDisconnect(t *testing.T) {
	b := disconnect()
	if len(b)%8 != 0 || int(binary.BigEndian.Uint32(b)) != len(b)-4 || b[4] < 4 {
		t.Errorf("% x", b)
	}
	p, err := payload(b[4:])
	if err != nil || len(p) != 13 || p[0] != msgDisconnect {
		t.Errorf("payload % x, %v", p, err)
	}
}

// FuzzKexInit: what is understood is no larger than what was received, and a
// rebuilt message says the same.
func FuzzKexInit(f *testing.F) {
	f.Add(kex("a,b", "c", "d", "e", "f", "g", "h", "i", "", ""))
	f.Add([]byte{msgKexInit, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a probe.Answer
		if kexInit(b, &a) != nil {
			if len(a.Fields) > 0 {
				t.Error("fields beside an error")
			}
			return
		}
		size := 0
		for _, fd := range a.Fields {
			size += len(strings.Join(fd.Values, ","))
		}
		if size > len(b) {
			t.Errorf("%d bytes of names from %d", size, len(b))
		}
	})
}

func FuzzPayload(f *testing.F) {
	f.Add([]byte{4, 20, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := payload(b); err == nil && (len(p) == 0 || len(p)+int(b[0])+1 != len(b)) {
			t.Errorf("%d of %d bytes", len(p), len(b))
		}
	})
}
