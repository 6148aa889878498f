package ftp_test

import (
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/ftp"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

func TestStrangers(t *testing.T) { probetest.Strangers(t, ftp.Prober{}, probe.TCP) }
