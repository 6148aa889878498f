//go:build amd64 || arm64

package bpf

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"
)

// again gives EAGAIN before each read.
type again struct {
	r     io.Reader
	ready bool
}

func (a *again) Read(b []byte) (int, error) {
	if a.ready = !a.ready; a.ready {
		return 0, unix.EAGAIN
	}
	return a.r.Read(b)
}

func TestPieces(t *testing.T) {
	const size = 136
	records := func(n int) []byte {
		b := make([]byte, n*size)
		for i := range n {
			b[i*size], b[i*size+1], b[i*size+size-1] = byte(i), byte(i>>8), byte(i)
		}
		return b
	}
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		r    io.Reader
		stop int // after so many; 0 never
		want int
		err  error
	}{
		"none":           {bytes.NewReader(nil), 0, 0, nil},
		"one":            {bytes.NewReader(records(1)), 0, 1, nil},
		"a whole piece":  {bytes.NewReader(records(pieceBytes / size)), 0, pieceBytes / size, nil},
		"many":           {bytes.NewReader(records(5000)), 0, 5000, nil},
		"bytes":          {iotest.OneByteReader(bytes.NewReader(records(1000))), 0, 1000, nil},
		"end with data":  {iotest.DataErrReader(bytes.NewReader(records(1000))), 0, 1000, nil},
		"again":          {&again{r: iotest.HalfReader(bytes.NewReader(records(3000)))}, 0, 3000, nil},
		"stop":           {bytes.NewReader(records(5000)), 700, 700, nil},
		"stop at once":   {bytes.NewReader(records(5000)), 1, 1, nil},
		"stop and error": {io.MultiReader(bytes.NewReader(records(10)), iotest.ErrReader(broken)), 10, 10, broken},
		"half a record":  {bytes.NewReader(records(1000)[:999*size+5]), 0, 999, io.ErrUnexpectedEOF},
		"error":          {io.MultiReader(bytes.NewReader(records(1000)), iotest.ErrReader(broken)), 0, 1000, broken},
	} {
		t.Run(name, func(t *testing.T) {
			var p pieces
			for range 2 { // the pieces are used again
				n := 0
				err := p.each(c.r, size, func(b []byte) bool {
					if len(b) != size || int(b[0])|int(b[1])<<8 != n || b[size-1] != byte(n) {
						t.Fatalf("record %d is %v of %d bytes", n, b[:2], len(b))
					}
					n++
					return n != c.stop
				})
				if n != c.want || !errors.Is(err, c.err) {
					t.Fatalf("%d records, %v; want %d, %v", n, err, c.want, c.err)
				}
				if s, ok := c.r.(io.Seeker); !ok || c.err != nil {
					break
				} else if _, err := s.Seek(0, io.SeekStart); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
