package prlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// ReadOptions say how to read a log.
type ReadOptions struct {
	// Location is the zone of the log's times, which the log does not hold:
	// the machine's that wrote it. Default time.Local.
	Location *time.Location
	// Header, if not nil, is filled with what the log's head says, before the
	// first entry is yielded.
	Header *Header
}

// Header is the head of a log. What it does not say is zero.
type Header struct {
	Log      Log
	Version  string    // "1.01"
	Date     time.Time // System Date
	Computer string
	OS       string
	Zone     string // "CET (UTC+01:00)"; the original did not say
	PIDsFile string // PR-PORTS: the log with the details
}

// LineError is what is wrong with one line. Reading goes on after it.
type LineError struct {
	Log  Log    // where several logs are read
	Line int    // from 1; 0 where it is not one line's
	Text string // the line, cut to what fits a message
	Err  error
}

func (e *LineError) Error() string {
	if e.Line == 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("line %d: %v: %q", e.Line, e.Err, e.Text)
}

func (e *LineError) Unwrap() error { return e.Err }

func lineError(line int, text []byte, err error) *LineError {
	const most = 120
	if len(text) > most {
		text = text[:most]
	}
	return &LineError{Line: line, Text: string(text), Err: err}
}

// maxLine bounds a line, and a record put together from wrapped ones.
const maxLine = 64 << 10

var errLongLine = errors.New("line is longer than 64 KiB")

// lines cuts a log into lines of UTF-8, whatever its encoding and line ends. buf
// is twice maxLine, so that a line up to that size always fits.
type lines struct {
	r       io.Reader
	buf     []byte
	at, end int
	err     error // of r, once it has failed or ended
	number  int   // of the line returned last
	again   []byte
	unread  bool
}

// newLines looks for a byte order mark (RFC 3629 section 6, RFC 2781 section
// 3.2). Without one the log is taken for bytes, unless every other one of them is
// NUL: UTF-8, or the ANSI code page that the original wrote, whose ASCII part is
// all that the layout needs.
func newLines(r io.Reader) *lines {
	l := &lines{r: r, buf: make([]byte, 2*maxLine)}
	for l.end < 3 && l.err == nil {
		l.fill()
	}
	head := l.buf[:l.end]
	var order binary.ByteOrder
	mark := 2 // bytes of a mark
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		l.at = 3
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		order = binary.BigEndian
	case len(head) > 1 && head[0] != 0 && head[0] < 0x80 && head[1] == 0: // half of an ASCII character
		order, mark = binary.LittleEndian, 0
	case len(head) > 1 && head[0] == 0 && head[1] != 0 && head[1] < 0x80:
		order, mark = binary.BigEndian, 0
	}
	if order != nil {
		rest := append([]byte(nil), head[mark:]...)
		src := io.MultiReader(bytes.NewReader(rest), &failing{r: r, err: l.err})
		*l = lines{r: &utf16Reader{r: src, order: order}, buf: l.buf}
	}
	return l
}

// failing gives r, or the error that reading it has ended with already.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.r.Read(b)
}

// next returns the next line without its end. The slice is valid until the next
// call. io.EOF ends the log; errLongLine is one line's, any other is final.
func (l *lines) next() ([]byte, error) {
	if l.unread {
		l.unread = false
		l.number++
		return l.again, nil
	}
	for from := l.at; ; {
		if i := bytes.IndexByte(l.buf[from:l.end], '\n'); i >= 0 {
			line := l.buf[l.at : from+i]
			l.at = from + i + 1
			l.number++
			return trimEnd(line), nil
		}
		switch {
		case l.err != nil && l.at == l.end:
			return nil, l.err
		case l.err != nil:
			line := l.buf[l.at:l.end]
			l.at = l.end
			l.number++
			return trimEnd(line), nil
		case l.end-l.at >= maxLine:
			return l.skip()
		}
		seen := l.end - l.at
		l.fill()
		from = l.at + seen
	}
}

// back makes next return line once more. line stays valid until then.
func (l *lines) back(line []byte) {
	l.again, l.unread = line, true
	l.number--
}

// skip passes over a line that is too long and returns its beginning.
func (l *lines) skip() ([]byte, error) {
	text := append([]byte(nil), l.buf[l.at:l.at+256]...)
	l.number++
	for {
		i := bytes.IndexByte(l.buf[l.at:l.end], '\n')
		if i >= 0 {
			l.at += i + 1
			return text, errLongLine
		}
		l.at = l.end
		if l.err != nil {
			return text, errLongLine
		}
		l.fill()
	}
}

// fill moves what is not used yet to the front and reads on.
func (l *lines) fill() {
	if l.at > 0 {
		l.end = copy(l.buf, l.buf[l.at:l.end])
		l.at = 0
	}
	for range 100 { // as bufio does: a reader that gives nothing for ever is broken
		var n int
		n, l.err = l.r.Read(l.buf[l.end:])
		l.end += n
		if n > 0 || l.err != nil {
			return
		}
	}
	l.err = io.ErrNoProgress
}

// trimEnd takes off the end of a line: CR, blanks, and the NUL bytes that a
// file has where a crash kept its last block from the disk.
func trimEnd(b []byte) []byte {
	for len(b) > 0 {
		switch b[len(b)-1] {
		case '\r', ' ', '\t', 0:
			b = b[:len(b)-1]
		default:
			return b
		}
	}
	return b
}

// utf16Reader decodes UTF-16 (RFC 2781). A lone surrogate, or an odd byte at
// the end, becomes U+FFFD.
type utf16Reader struct {
	r       io.Reader
	order   binary.ByteOrder
	in      [8 << 10]byte
	n       int    // bytes in in
	out     []byte // decoded and not read yet
	space   []byte // behind out
	high    rune   // a high surrogate that waits for its other half
	err     error
	flushed bool
}

// Read never returns 0 bytes without an error, whatever its source does.
func (u *utf16Reader) Read(b []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			if u.flushed {
				return 0, u.err
			}
			u.flushed = true
			u.out = u.out[:0]
			if u.high != 0 || u.n > 0 {
				u.out = utf8.AppendRune(u.out, utf8.RuneError)
			}
			continue
		}
		n, err := u.r.Read(u.in[u.n:])
		u.n += n
		u.err = err
		u.decode()
	}
	n := copy(b, u.out)
	u.out = u.out[n:]
	return n, nil
}

// decode turns whole code units of in to text, and keeps an odd byte.
func (u *utf16Reader) decode() {
	out := u.space[:0]
	i := 0
	for ; i+2 <= u.n; i += 2 {
		out = u.unit(out, rune(u.order.Uint16(u.in[i:])))
	}
	u.n = copy(u.in[:], u.in[i:u.n])
	u.out, u.space = out, out
}

// unit appends the character that r completes, if it does.
func (u *utf16Reader) unit(out []byte, r rune) []byte {
	if u.high != 0 {
		high := u.high
		u.high = 0
		if full := utf16.DecodeRune(high, r); full != utf8.RuneError {
			return utf8.AppendRune(out, full)
		}
		out = utf8.AppendRune(out, utf8.RuneError)
	}
	if r >= 0xd800 && r < 0xdc00 {
		u.high = r
		return out
	}
	return utf8.AppendRune(out, r) // a lone low surrogate becomes U+FFFD
}
