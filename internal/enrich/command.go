package enrich

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// maxOutput bounds what a command may say.
const maxOutput = 64 << 10

// runCommand runs a program by its absolute path with an empty environment and
// no input, for five seconds at most, and returns what it wrote.
func runCommand(ctx context.Context, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"LC_ALL=C"}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	out := &bounded{left: maxOutput}
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("run %s: %w", path, err)
	}
	return string(out.b), nil
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	b    []byte
	left int
}

func (w *bounded) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.b, w.left = append(w.b, p[:n]...), w.left-n
	return len(p), nil
}
