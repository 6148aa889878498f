//go:build !linux

package control

import (
	"context"
	"fmt"
	"net"
	"runtime"
)

// On Windows this will be a named pipe.
func listen(string) (net.Listener, func(net.Conn) error, error) {
	return nil, nil, fmt.Errorf("control socket: %w on %s", ErrUnsupported, runtime.GOOS)
}

func dial(context.Context, string) (net.Conn, error) {
	return nil, fmt.Errorf("%w on %s", ErrUnsupported, runtime.GOOS)
}

func admit(net.Listener, int) error { return fmt.Errorf("%w on %s", ErrUnsupported, runtime.GOOS) }
