package proc

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestHash(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("broken")
	tests := []struct {
		name  string
		ctx   context.Context
		in    io.Reader
		limit int64
		want  string
		err   error
	}{
		{"empty", t.Context(), strings.NewReader(""), 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", nil},
		{"abc byte by byte", t.Context(), iotest.OneByteReader(strings.NewReader("abc")), 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", nil},
		{"too big", t.Context(), strings.NewReader("abcd"), 3, "", ErrTooBig},
		{"ended context", ended, strings.NewReader("abc"), 0, "", context.Canceled},
		{"broken reader", t.Context(), iotest.ErrReader(broken), 0, "", broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Hash(tt.ctx, tt.in, tt.limit)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}
