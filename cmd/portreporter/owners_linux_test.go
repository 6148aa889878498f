package main

import (
	"strconv"
	"testing"
)

// TestOwners makes processes that live for one connection, each with an argument
// and a user of its own, and wants each named right at both ends: pid, start,
// executable, arguments and user. Nothing may be looked up afterwards: they are
// gone before their events are read.
func TestOwners(t *testing.T) {
	r := startRecorder(t)
	for _, who := range []string{"client", "server", "rst"} {
		t.Run(who+" closes", func(t *testing.T) {
			log := generate(t, "-close", who, "procs", "500")
			r.settled(log)
			wantAll(t, r.verify(log), 0)
		})
	}
	t.Run("storm", func(t *testing.T) {
		n := 20000
		if testing.Short() {
			n = 2000
		}
		log := generate(t, "-parallel", "2", "procs", strconv.Itoa(n))
		r.settled(log)
		wantAll(t, r.verify(log), closesInferred)
	})
}
