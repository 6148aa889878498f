package pop3_test

import (
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/pop3"
)

func TestStrangers(t *testing.T) { probetest.Strangers(t, pop3.Prober{}, probe.TCP) }
