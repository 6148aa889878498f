package imap

import (
	"fmt"
	"strings"
)

const (
	tag      = "a"
	maxLines = 256
)

// greeting is the first line of a server (RFC 9051 section 7.1):
//
//   - OK|PREAUTH|BYE [CAPABILITY IMAP4rev1 ...] text
type greeting struct {
	bye          bool
	capabilities []string
	text         string
}

func parseGreeting(line string) (greeting, error) {
	rest, ok := strings.CutPrefix(line, "* ")
	word, rest, _ := strings.Cut(rest, " ")
	switch strings.ToUpper(word) {
	case "OK", "PREAUTH", "BYE":
	default:
		ok = false
	}
	if !ok {
		return greeting{}, fmt.Errorf("no greeting: %q", line[:min(len(line), 40)])
	}
	g := greeting{bye: strings.EqualFold(word, "BYE"), text: rest}
	if code, text, ok := strings.Cut(rest, "]"); ok && strings.HasPrefix(code, "[") {
		g.text = strings.TrimSpace(text)
		g.capabilities = capabilities(code[1:])
	}
	return g, nil
}

// capabilities are the words after CAPABILITY.
func capabilities(line string) []string {
	word, rest, _ := strings.Cut(line, " ")
	if !strings.EqualFold(word, "CAPABILITY") {
		return nil
	}
	return strings.Fields(rest)
}

// list reads the answer to CAPABILITY up to the end of the command.
func list(next func() (string, error)) (all []string, err error) {
	for range maxLines {
		line, err := next()
		if err != nil || strings.HasPrefix(line, tag+" ") {
			return all, err
		}
		if rest, ok := strings.CutPrefix(line, "* "); ok {
			all = append(all, capabilities(rest)...)
		}
	}
	return all, fmt.Errorf("more than %d lines", maxLines)
}
