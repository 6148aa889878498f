package postgres_test

import (
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/postgres"
)

// TestAnswers: servers without TLS, in the shapes of PostgreSQL's documentation.
func TestAnswers(t *testing.T) {
	for says, want := range map[string]string{
		"E\x00\x00\x00\x1cSFATAL\x00C28000\x00Mgo away\x00\x00": "PostgreSQL, go away",
		"R\x00\x00\x00\x0c\x00\x00\x00\x05salt":                 "PostgreSQL, asks for md5",
		"R\x00\x00\x00\x08\x00\x00\x00\x00S\x00\x00\x00\x18server_version\x0015.1\x00K\x00\x00\x00\x0c12345678Z\x00\x00\x00\x05I": "PostgreSQL, lets anybody in, version 15.1",
	} {
		addr := probetest.Serve(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 8))
			_, _ = c.Write([]byte("N"))
			_, _ = c.Read(make([]byte, 200))
			_, _ = c.Write([]byte(says))
			_, _ = c.Read(make([]byte, 200))
		})
		if a := probetest.Ask(t, postgres.Prober{}, probe.TCP, addr); a.Summary != want {
			t.Errorf("%q, want %q", a.Summary, want)
		}
	}
}

// TestSaysS: a peer that begins with an S, or an N, is not yet PostgreSQL.
func TestSaysS(t *testing.T) {
	for _, says := range []string{"SSH-2.0-x\r\n", "NO\r\n"} {
		addr := probetest.Serve(t, func(c net.Conn) {
			_, _ = c.Write([]byte(says))
			_, _ = c.Read(make([]byte, 1000))
		})
		if a, err := probetest.Try(t, postgres.Prober{}, probe.TCP, addr); err == nil {
			t.Errorf("%q is taken for %+v", says, a)
		}
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, postgres.Prober{}, probe.TCP)
}
