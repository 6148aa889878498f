// Package reply reads the numbered replies that FTP and SMTP give (RFC 959
// section 4.2, RFC 5321 section 4.2).
package reply

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

const maxLines = 256

// Reply is one reply, of one line or several:
//
//	220-first        the code and a hyphen begin one of several lines
//	 anything        FTP only; SMTP repeats code and hyphen
//	220 last         the same code and a space end it
type Reply struct {
	Code  int      // 100 to 599
	Lines []string // as received, without their ends
}

// Read reads one reply from the lines that next returns. An error is next's, or
// says that a line is none of a reply.
func Read(next func() (string, error)) (Reply, error) {
	line, err := next()
	if err != nil {
		return Reply{}, err
	}
	code, more, ok := head(line)
	if !ok {
		return Reply{}, fmt.Errorf("no reply code in %q", line[:min(len(line), 40)])
	}
	r := Reply{code, []string{line}}
	for more {
		if line, err = next(); err != nil {
			return Reply{}, err
		}
		if len(r.Lines) == maxLines {
			return Reply{}, fmt.Errorf("a reply of more than %d lines", maxLines)
		}
		r.Lines = append(r.Lines, line)
		if c, m, ok := head(line); ok && c == code {
			more = m
		}
	}
	return r, nil
}

// head is what a line begins with, and whether its reply goes on after it.
func head(line string) (code int, more, ok bool) {
	if len(line) < 3 || line[0] < '1' || line[0] > '5' || !digit(line[1]) || !digit(line[2]) {
		return 0, false, false
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, true
	}
	return code, line[3] == '-', line[3] == '-' || line[3] == ' '
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// Text is the reply without its codes; lines that held nothing else are left out.
func (r Reply) Text() (text []string) {
	for _, l := range r.Lines {
		if c, _, ok := head(l); ok && c == r.Code {
			l = l[min(4, len(l)):]
		}
		if l = strings.TrimSpace(l); l != "" {
			text = append(text, l)
		}
	}
	return text
}

// Gone says whether an error of Read or of its next is the peer's end or silence,
// and not something else that it said.
func Gone(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.As(err, &network)
}
