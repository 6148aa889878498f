//go:build unix

package cli

import (
	"context"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// whileRead returns a context that ends when nobody reads w any more, if that
// is a pipe: a command that waits for events would else not notice until the
// next one that its reader, such as head(1), is content. poll(2) tells it of
// the writing end by POLLERR. The returned function gives everything back.
func whileRead(ctx context.Context, w io.Writer) (context.Context, func()) {
	f, ok := w.(*os.File)
	if !ok {
		return ctx, func() {}
	}
	info, err := f.Stat()
	if err != nil || info.Mode().Type() != os.ModeNamedPipe {
		return ctx, func() {}
	}
	end, wake, err := os.Pipe()
	if err != nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		fds := []unix.PollFd{{Fd: int32(f.Fd())}, {Fd: int32(end.Fd())}} // POLLERR and POLLHUP need not be asked for
		for {
			if _, err := unix.Poll(fds, -1); err != unix.EINTR {
				return
			}
		}
	}()
	return ctx, func() {
		wake.Close() // POLLHUP at the other end
		<-done
		end.Close()
	}
}
