package cli

import (
	"os"
	"slices"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/all"
	"github.com/portreporter/portreporter/internal/probe/snmp"
)

// probers are all of them, SNMP's with a community; "" is that of the environment
// (PORTREPORTER_SNMP_COMMUNITY), where no other user reads it as they read a
// command line, else public.
func probers(community string) []probe.Prober {
	if community == "" {
		community = os.Getenv("PORTREPORTER_SNMP_COMMUNITY")
	}
	ps := all.Probers()
	if i := slices.IndexFunc(ps, func(p probe.Prober) bool { return p.Protocol() == "snmp" }); i >= 0 {
		ps[i] = snmp.Prober{Community: community}
	}
	return ps
}
