package sip_test

import (
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/sip"
)

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, sip.Prober{}, probe.UDP)
	probetest.Strangers(t, sip.Prober{}, probe.TCP)
}
