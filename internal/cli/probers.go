package cli

import (
	"os"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/all"
	"github.com/portreporter/portreporter/internal/probe/radius"
	"github.com/portreporter/portreporter/internal/probe/snmp"
)

// probers are all of them, SNMP's with a community; "" is that of the environment
// (PORTREPORTER_SNMP_COMMUNITY), else public. RADIUS's secret is the environment's
// (PORTREPORTER_RADIUS_SECRET): no other user reads it there as they read a
// command line.
func probers(community string) []probe.Prober {
	if community == "" {
		community = os.Getenv("PORTREPORTER_SNMP_COMMUNITY")
	}
	ps := all.Probers()
	for i, p := range ps {
		switch p.Protocol() {
		case "snmp":
			ps[i] = snmp.Prober{Community: community}
		case "radius":
			ps[i] = radius.Prober{Secret: os.Getenv("PORTREPORTER_RADIUS_SECRET")}
		}
	}
	return ps
}
