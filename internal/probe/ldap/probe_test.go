package ldap

import (
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/ber"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

func TestStrangers(t *testing.T) {
	for _, proto := range []probe.Proto{probe.TCP, probe.UDP} {
		t.Run(proto.String(), func(t *testing.T) { probetest.Strangers(t, Prober{}, proto) })
	}
}

// asked finds which question a datagram asks, 0 for none.
func asked(b []byte) int64 {
	e, _, err := ber.Parse(b)
	if err != nil {
		return 0
	}
	m, err := e.Want(ber.Integer, opSearch)
	if err != nil {
		return 0
	}
	id, _ := m[0].Int()
	return id
}

// TestPartial: over UDP either answer does, and a reply that is none is another
// protocol's.
func TestPartial(t *testing.T) {
	netlogon := "\x17\x00\x00\x00\x08\x00\x00\x00" + "0123456789abcdef" + "\x01d\x00\x01d\x00\x01h\x00\x01D\x00\x01H\x00\x00\x01s\x00\x01s\x00"
	for _, tt := range []struct {
		name    string
		answers map[int64][]byte
		summary string
	}{
		{"ping alone", map[int64][]byte{pingID: append(entryMessage(pingID, "netlogon: "+netlogon), doneMessage(pingID, opDone, 0, "")...)}, "h, site s"},
		{"search alone", map[int64][]byte{rootID: append(entryMessage(rootID, "vendorName: Example"), doneMessage(rootID, opDone, 0, "")...)}, "Example"},
		{"both, the ping for nothing", map[int64][]byte{
			rootID: append(entryMessage(rootID, "vendorName: Example"), doneMessage(rootID, opDone, 0, "")...),
			pingID: doneMessage(pingID, opDone, protocolError, "what"),
		}, "Example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := probetest.ServeUDP(t, func(b []byte) [][]byte {
				if r, ok := tt.answers[asked(b)]; ok {
					return [][]byte{r}
				}
				return nil
			})
			ctx := t.Context()
			d := probetest.Dialer{Addr: addr, Timeout: 100 * time.Millisecond}
			a, err := Prober{}.Ask(ctx, d, probe.Target{Addr: addr.Addr(), Proto: probe.UDP, Port: addr.Port()})
			if err != nil || a.Summary != tt.summary {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
}

func TestOverTLS(t *testing.T) {
	for _, tt := range []struct {
		t    probe.Target
		want bool
	}{
		{probe.Target{Port: 389}, false}, {probe.Target{Port: 636}, true}, {probe.Target{Port: 3269}, true}, {probe.Target{Port: 3268}, false},
		{probe.Target{Port: 1636, Service: "ldaps"}, true}, {probe.Target{Port: 636, Service: "ldap"}, false}, {probe.Target{Port: 636, Service: "other"}, true},
	} {
		if got := overTLS(tt.t); got != tt.want {
			t.Errorf("%+v: %v", tt.t, got)
		}
	}
}
