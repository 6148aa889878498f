package imap_test

import (
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/imap"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

func TestStrangers(t *testing.T) { probetest.Strangers(t, imap.Prober{}, probe.TCP) }
