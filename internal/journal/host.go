package journal

import (
	"os"
	"path/filepath"
	"strings"
)

// Host returns the name of the host that the journal is of, "" where it is not
// known.
func (r *Reader) Host() string {
	b, err := os.ReadFile(filepath.Join(r.dir, hostName))
	if err != nil {
		return ""
	}
	_, name, _ := strings.Cut(string(b), "\n")
	return strings.TrimRight(name, "\n")
}
