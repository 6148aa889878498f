package kafka_test

import (
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/kafka"
)

// TestBrokers asks brokers written from Kafka's protocol guide, as Debian has
// none: one that tells its cluster, one that wants a login first.
func TestBrokers(t *testing.T) {
	const versions = "\x00\x00\x00\x10\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x00\x12\x00\x00\x00\x03"
	const metadata = "\x00\x00\x00\x1e\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x07\x00\x02k1\x00\x00\x23\x84\xff\xff\x00\x00\x00\x07\x00\x00\x00\x00"
	for second, want := range map[string]string{metadata: "Kafka, 1 requests known, 1 brokers, broker 7 at k1:9092", "": "Kafka, 1 requests known"} {
		addr := probetest.Serve(t, func(c net.Conn) {
			for _, says := range []string{versions, second} {
				_, _ = c.Read(make([]byte, 100))
				_, _ = c.Write([]byte(says))
			}
		})
		if a := probetest.Ask(t, kafka.Prober{}, probe.TCP, addr); a.Summary != want || (a.Get("metadata") != "") != (second == "") {
			t.Errorf("%+v, want %q", a, want)
		}
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, kafka.Prober{}, probe.TCP)
}
