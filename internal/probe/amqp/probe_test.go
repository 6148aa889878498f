package amqp_test

import (
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/amqp"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

// start is the greeting of a broker written from AMQP 0-9-1, section 4.2:
// RabbitMQ, Debian's one, takes four seconds to start.
const start = "\x01\x00\x00\x00\x00\x00\x42" + "\x00\x0a\x00\x0a\x00\x09" +
	"\x00\x00\x00\x21" + "\x07productS\x00\x00\x00\x06Broker" + "\x07versionS\x00\x00\x00\x011" +
	"\x00\x00\x00\x0a" + "PLAIN AMQP" + "\x00\x00\x00\x05" + "en_US" + "\xce"

func TestBrokers(t *testing.T) {
	for says, want := range map[string]string{start: "AMQP 0-9, Broker 1", "AMQP\x03\x01\x00\x00": "AMQP 1.0.0 over SASL"} {
		addr := probetest.Serve(t, func(c net.Conn) {
			if n, _ := c.Read(make([]byte, 8)); n == 8 {
				_, _ = c.Write([]byte(says))
			}
		})
		if a := probetest.Ask(t, amqp.Prober{}, probe.TCP, addr); a.Summary != want {
			t.Errorf("%+v, want %q", a, want)
		}
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, amqp.Prober{}, probe.TCP)
}
