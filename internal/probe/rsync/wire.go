package rsync

import (
	"errors"
	"strings"
)

const (
	prefix = "@RSYNCD: "
	// ours is the protocol that we speak: the one that every server of the last
	// twenty years takes, without its digests (protocol 30 on may list them).
	ours = prefix + "29\n"
	list = "#list\n"
)

// parseGreeting reads "@RSYNCD: 31.0 sha512 sha256 md5": the protocol, and how
// passwords are hashed.
func parseGreeting(line string) (protocol string, digests []string, err error) {
	rest, ok := strings.CutPrefix(line, prefix)
	words := strings.Fields(rest)
	if !ok || len(words) == 0 || strings.Trim(words[0], "0123456789.") != "" {
		return "", nil, errors.New("no greeting of an rsync daemon")
	}
	return words[0], words[1:], nil
}

// end tells a line that ends the conversation, and the error that it brings.
func end(line string) (ended bool, refused string) {
	if strings.TrimSpace(line) == prefix+"EXIT" {
		return true, ""
	}
	if e, ok := strings.CutPrefix(line, "@ERROR"); ok {
		return true, strings.TrimPrefix(e, ": ")
	}
	return false, ""
}

// module reads a line of the list: a name, padded, a tab, a comment.
func module(line string) (name, comment string, ok bool) {
	name, comment, ok = strings.Cut(line, "\t")
	return strings.TrimSpace(name), strings.TrimSpace(comment), ok && strings.TrimSpace(name) != ""
}
