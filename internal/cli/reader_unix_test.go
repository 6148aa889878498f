//go:build unix

package cli

import (
	"bytes"
	"os"
	"testing"

	"github.com/portreporter/portreporter/internal/testutil"
)

func TestWhileRead(t *testing.T) {
	testutil.NoLeaks(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, stop := whileRead(t.Context(), w)
	if err := ctx.Err(); err != nil {
		t.Errorf("while it is read: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	stop()
}

// TestWhileReadOfOthers: what is no pipe has no reader that could go.
func TestWhileReadOfOthers(t *testing.T) {
	testutil.NoLeaks(t)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	ctx, stop := whileRead(t.Context(), null)
	stop()
	other, stopOther := whileRead(t.Context(), &bytes.Buffer{})
	stopOther()
	if ctx.Err() != nil || other.Err() != nil {
		t.Errorf("ended: %v, %v", ctx.Err(), other.Err())
	}
}

func TestWhileReadStops(t *testing.T) {
	testutil.NoLeaks(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	_, stop := whileRead(t.Context(), w)
	stop() // returns though the pipe is still read
}
