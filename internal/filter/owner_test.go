package filter

import (
	"math/rand/v2"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
)

func TestMayOwn(t *testing.T) {
	sshd := &activity.Process{ID: 1, Name: "sshd", Exe: "/usr/sbin/sshd", UID: 0, User: "root"}
	for _, c := range []struct {
		src            string
		sshd, noKnower bool
	}{
		{"", true, true},
		{"process:sshd", true, false},
		{"process:nginx", false, false},
		{"-process:nginx", true, true},
		{"-process:sshd", false, true},
		{"process:nginx port:22", false, false},
		{"process:nginx or port:22", true, true},
		{"-(process:nginx or port:22)", true, true},
		{"-(process:sshd or port:22)", false, true},
		{"-(process:sshd port:22)", true, true},
		{"user:root", true, true}, // a socket's user is known without a process
		{"user:www-data", false, true},
		{"pid:7", true, true},
		{"nginx", true, true}, // the word may be a service's name
		{"kind:listen memfd:yes", false, false},
		{"kind:listen memfd:no", true, true},
	} {
		x, err := Parse(c.src, testOptions())
		if err != nil {
			t.Fatal(err)
		}
		if got := x.MayOwn(sshd); got != c.sshd {
			t.Errorf("%q of sshd: %v", c.src, got)
		}
		if got := x.MayOwn(nil); got != c.noKnower {
			t.Errorf("%q of nobody: %v", c.src, got)
		}
	}
}

// TestMayOwnNeverDenies: what MayOwn rules out does not match, and it does rule
// out something.
func TestMayOwnNeverDenies(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	denied := 0
	for range 20000 {
		q := randomQuestion(r, 3)
		x, err := Parse(q.src, testOptions())
		if err != nil {
			t.Fatalf("%s: %v", q.src, err)
		}
		e := randomEvent(r)
		if x.MayOwn(e.Process) {
			continue
		}
		denied++
		if x.Match(e) || q.ask(e) {
			t.Fatalf("%s matches an event of %+v, which cannot own one", q.src, e.Process)
		}
	}
	if denied < 500 {
		t.Errorf("only %d of 20,000 were ruled out", denied)
	}
}
