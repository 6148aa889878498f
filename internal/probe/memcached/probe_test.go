package memcached_test

import (
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/memcached"
)

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, memcached.Prober{}, probe.TCP)
	probetest.Strangers(t, memcached.Prober{}, probe.UDP)
}
