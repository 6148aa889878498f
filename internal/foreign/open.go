package foreign

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Input is a log as UTF-8 text, whatever it was stored as.
type Input struct {
	r     *bufio.Reader
	close func()
}

const (
	maxLine   = 1 << 20  // of a line or an XML event
	headBytes = 64 << 10 // looked at to tell the format
	// maxWindow bounds what a zstd frame may make its reader hold: the format
	// allows up to 3.75 TiB (RFC 8878 section 3.1.1.1.2), `zstd --ultra` uses 128 MiB.
	maxWindow = 128 << 20
)

// Open undoes what r was stored with: gzip or zstd, told by its first bytes
// (RFC 1952 section 2.3.1, RFC 8878 section 3.1.1), and UTF-16 with or without a
// byte order mark. The caller closes the Input, and r after it.
func Open(r io.Reader) (*Input, error) {
	plain, done, err := decompress(bufio.NewReaderSize(r, headBytes))
	if err != nil {
		return nil, err
	}
	b := bufio.NewReaderSize(plain, headBytes)
	head, err := b.Peek(4)
	if err != nil && err != io.EOF { // a file of less than four bytes is one too
		done()
		return nil, err
	}
	in := &Input{close: done}
	if t := decoder(head); t != nil {
		in.r = bufio.NewReaderSize(transform.NewReader(b, t), maxLine)
	} else {
		in.r = bufio.NewReaderSize(b, maxLine)
	}
	return in, nil
}

func decompress(b *bufio.Reader) (r io.Reader, done func(), err error) {
	head, err := b.Peek(4)
	switch {
	case err != nil && err != io.EOF:
		return nil, nil, err
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b) // members that follow each other are one, as gzip(1) has it
		if err != nil {
			return nil, nil, fmt.Errorf("gzip: %w", err)
		}
		return z, func() {}, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("zstd: %w", err)
		}
		return z, z.Close, nil
	}
	return b, func() {}, nil
}

// decoder makes UTF-8 of what begins with head, nil where it is that already, or
// has at least its ASCII part. Without a mark, a NUL beside an ASCII character is
// half of a UTF-16 one: no log of ours begins with any other.
func decoder(head []byte) transform.Transformer {
	fallback := transform.Transformer(encoding.Nop.NewDecoder())
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")), bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
	case len(head) >= 2 && head[0] != 0 && head[0] < 0x80 && head[1] == 0:
		fallback = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder()
	case len(head) >= 2 && head[0] == 0 && head[1] != 0 && head[1] < 0x80:
		fallback = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder()
	default:
		return nil
	}
	return unicode.BOMOverride(fallback)
}

// Close gives back what decoding holds.
func (in *Input) Close() { in.close() }

// Read reads the text.
func (in *Input) Read(b []byte) (int, error) { return in.r.Read(b) }

// Head returns the first 64 KiB of what is left, or all of it, and leaves it to
// be read.
func (in *Input) Head() ([]byte, error) {
	b, err := in.r.Peek(headBytes)
	if err == io.EOF {
		err = nil
	}
	return b, err
}

var errLongLine = errors.New("longer than 1 MiB")

// lines cuts an Input into lines.
type lines struct {
	r      *bufio.Reader
	number int // of the line returned last
}

// next returns the next line without its end, valid until the next call. Of one
// that is too long it returns the beginning, and errLongLine.
func (l *lines) next() ([]byte, error) {
	b, err := l.r.ReadSlice('\n')
	switch {
	case err == nil:
	case errors.Is(err, bufio.ErrBufferFull): // the buffer is of maxLine
		text := bytes.Clone(b[:256])
		l.number++
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = l.r.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		return text, errLongLine
	case err != io.EOF || len(b) == 0:
		return nil, err
	}
	l.number++
	return bytes.TrimRight(b, "\r\n"), nil
}

// Detect tells what a log is by its beginning, as UTF-8 text. Zeek's other logs
// are none: those in JSON lack conn_state, which each record of conn.log has.
func Detect(head []byte) Format {
	head = bytes.TrimLeft(head, " \t\r\n")
	first, _, _ := bytes.Cut(head, []byte("\n"))
	switch {
	case bytes.HasPrefix(head, []byte("Port Reporter Version ")), isStamp(head):
		return Classic
	case bytes.HasPrefix(head, []byte("#separator ")), bytes.HasPrefix(head, []byte("#fields\t")):
		return zeekPath(head)
	case bytes.HasPrefix(head, []byte("{")) && bytes.Contains(first, []byte(`"conn_state"`)) && bytes.Contains(first, []byte(`orig_h"`)):
		return Zeek
	case bytes.HasPrefix(head, []byte("<")) && bytes.Contains(head, []byte("<Event")) && bytes.Contains(head, []byte("Microsoft-Windows-Sysmon")):
		return Sysmon
	}
	return Unknown
}

// zeekPath looks for the directive that names the log. A head that was cut off
// may lack it.
func zeekPath(head []byte) Format {
	t := newTSV()
	for line := range bytes.Lines(head) {
		if line[0] != '#' {
			break
		}
		var other pathError
		if errors.As(t.directive(bytes.TrimRight(line[1:], "\r\n")), &other) {
			return Unknown
		}
	}
	return Zeek
}

// isStamp tells a line of PR-PORTS, whose log may have lost its head: "05/7/6,".
func isStamp(b []byte) bool {
	date, _, ok := bytes.Cut(b[:min(len(b), 12)], []byte(","))
	if !ok || bytes.Count(date, []byte("/")) != 2 {
		return false
	}
	return len(bytes.Trim(date, "0123456789/")) == 0
}
