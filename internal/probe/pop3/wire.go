package pop3

import (
	"fmt"
	"strings"
)

const maxLines = 256

// status takes a reply apart (RFC 1939 section 3): its text, and whether it is
// the good one.
func status(line string) (text string, ok bool, err error) {
	for word, good := range map[string]bool{"+OK": true, "-ERR": false} {
		if rest, is := strings.CutPrefix(line, word); is && (rest == "" || rest[0] == ' ') {
			return strings.TrimSpace(rest), good, nil
		}
	}
	return "", false, fmt.Errorf("no status in %q", line[:min(len(line), 40)])
}

// timestamp is the part in angle brackets that says that APOP is known (RFC
// 1939 section 7).
func timestamp(greeting string) string {
	i := strings.LastIndexByte(greeting, '<')
	if i < 0 || !strings.HasSuffix(greeting, ">") || !strings.Contains(greeting[i:], "@") {
		return ""
	}
	return greeting[i:]
}

// list reads the reply to CAPA: a line each, and a lone point at the end; a
// server that doesn't know it has none.
func list(next func() (string, error)) (lines []string, err error) {
	line, err := next()
	if err != nil {
		return nil, err
	}
	if _, ok, err := status(line); !ok {
		return nil, err
	}
	for {
		if line, err = next(); err != nil || line == "." {
			return lines, err
		}
		if len(lines) == maxLines {
			return lines, fmt.Errorf("more than %d capabilities", maxLines)
		}
		lines = append(lines, line)
	}
}
