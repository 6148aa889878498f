package smtp

import (
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/reply"
)

// Reply codes (RFC 5321 section 4.2.3).
const (
	ready       = 220
	done        = 250
	unavailable = 421
	noService   = 554
)

// greets says whether a reply may open a connection (RFC 5321 sections 3.1 and
// 3.8).
func greets(r reply.Reply) error {
	switch r.Code {
	case ready, unavailable, noService:
		return nil
	}
	return fmt.Errorf("greeted with code %d", r.Code)
}

// offers takes the answer to EHLO apart: the server's name, which stands first
// in its first line, and an extension in each line after that.
func offers(r reply.Reply) (name, extensions []string) {
	text := r.Text()
	if len(text) == 0 {
		return nil, nil
	}
	first, _, _ := strings.Cut(text[0], " ")
	return []string{first}, text[1:]
}
