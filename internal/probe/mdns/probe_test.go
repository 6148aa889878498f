package mdns_test

import (
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/mdns"
)

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, mdns.Prober{}, probe.UDP)
}
