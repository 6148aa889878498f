package testutil

import (
	"testing"
)

// Need is something that a test cannot run without.
type Need struct {
	What  string // for people: "a network namespace"
	Linux bool   // Linux only
	Root  bool   // needs privilege

	// Lacks, when set, returns why this very kernel cannot have it, or "". It is
	// for what the tests can establish by other means than trying, such as a
	// lockdown mode that forbids text patching; it must not guess.
	Lacks func() string
}

// Skip does nothing when err is nil. Otherwise the test cannot go on: it is
// skipped where the system or the user cannot have what it needs, and FAILS
// where they should, so that a broken test environment never looks green.
func Skip(t testing.TB, need Need, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if why := cannot(need); why != "" {
		t.Skipf("%s: %v (%s)", need.What, err, why)
	}
	t.Fatalf("%s: %v (this system and user should have it)", need.What, err)
}

// cannot returns why need cannot be met here, "" if it should be.
func cannot(n Need) string {
	switch {
	case n.Linux && !onLinux:
		return "Linux only"
	case n.Root && !privileged():
		return "needs root"
	case n.Lacks != nil:
		return n.Lacks()
	}
	return ""
}

// Root skips the test unless it runs as root on Linux.
func Root(t testing.TB, what string) {
	t.Helper()
	if why := cannot(Need{Linux: true, Root: true}); why != "" {
		t.Skipf("%s: %s", what, why)
	}
}
