package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

const basePort = 7000

// hold opens n sockets, the two ends of n/2 connections to a listener of its
// own, says so by a byte on standard output, and waits to be killed.
func hold(number, n int) error {
	limit := unix.Rlimit{}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read limit of descriptors: %w", err)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise limit of descriptors: %w", err)
	}
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", basePort+number))
	if err != nil {
		return err
	}
	open := make([]net.Conn, 0, n)
	for len(open) < n {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			return fmt.Errorf("after %d sockets: %w", len(open), err)
		}
		s, err := l.Accept()
		if err != nil {
			return fmt.Errorf("after %d sockets: %w", len(open), err)
		}
		open = append(open, c, s)
	}
	if _, err := os.Stdout.Write([]byte{1}); err != nil {
		return err
	}
	// select {} would be a deadlock to the runtime: no goroutine is left.
	end := make(chan os.Signal, 1)
	signal.Notify(end, unix.SIGTERM)
	<-end
	return nil
}
