package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// How long a command may run, and then how long until it is left alone with
// what still has its output open.
const (
	commandPatience = 30 * time.Second
	commandEnd      = time.Second
)

type command struct {
	argv     []string
	patience time.Duration
}

// NewCommand returns a sink that runs a program for each alert, one at a time:
// its path and arguments as they are, without a shell, with the alert's JSON on
// standard input. It runs without the recorder's privileges where these are
// capabilities, and is killed with its children after 30 s.
func NewCommand(argv []string) (Sink, error) {
	if len(argv) == 0 || argv[0] == "" {
		return nil, errors.New("command: no program is named")
	}
	if _, err := exec.LookPath(argv[0]); err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	return &command{argv: argv, patience: commandPatience}, nil
}

func (c *command) Send(ctx context.Context, a *Alert) error {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Stdin, cmd.Dir, cmd.WaitDelay = bytes.NewReader(a.JSON), os.TempDir(), commandEnd
	said := &head{most: 200}
	cmd.Stderr = said
	inGroup(cmd)
	err := runUnprivileged(cmd)
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("command: %s: still running after %v", c.argv[0], c.patience)
	case len(said.b) > 0:
		return fmt.Errorf("command: %s: %w: %q", c.argv[0], err, said.b)
	}
	return fmt.Errorf("command: %s: %w", c.argv[0], err)
}

func (c *command) Close() error { return nil }

// head keeps the first bytes of what is written to it.
type head struct {
	b    []byte
	most int
}

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), h.most-len(h.b))]...)
	return len(p), nil
}
