package testutil

import (
	"os"
	"strings"
)

// openFiles returns what each open descriptor is, by its number. The runtime's
// poller and its like are not counted: they come with the first use and stay.
func openFiles() map[string]string {
	out := map[string]string{}
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return out
	}
	for _, d := range dir {
		what, err := os.Readlink("/proc/self/fd/" + d.Name())
		if err != nil || strings.Contains(what, "eventpoll") || strings.Contains(what, "eventfd") || strings.Contains(what, "pidfd") {
			continue // gone already: it was the directory's own
		}
		out[d.Name()] = what
	}
	return out
}
