package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress tells people who wait at a terminal how far a long command is, once a
// second on a line of its own that goes when it is done. Elsewhere it is silent.
type progress struct {
	w     io.Writer
	what  string // "read"
	n     uint64
	next  time.Time
	wrote int // columns of the line
}

// newProgress begins; nothing is shown in the first second.
func newProgress(w io.Writer, what string) *progress {
	if terminal(w) == 0 {
		return &progress{}
	}
	return &progress{w: w, what: what, next: time.Now().Add(time.Second)}
}

// step counts an event. The clock is looked at now and then only.
func (p *progress) step() {
	if p.n++; p.n%(1<<12) == 0 {
		p.say(count(p.n, "event"))
	}
}

// say shows how far it is, if it is time to.
func (p *progress) say(far string) {
	if p.w == nil {
		return
	}
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(time.Second)
		text := fmt.Sprintf("%s %s", p.what, far)
		p.wrote = max(p.wrote, len(text))
		fmt.Fprint(p.w, "\r"+text)
	}
}

// done takes the line away.
func (p *progress) done() {
	if p.wrote > 0 {
		fmt.Fprint(p.w, "\r"+strings.Repeat(" ", p.wrote)+"\r")
		p.wrote = 0
	}
}
