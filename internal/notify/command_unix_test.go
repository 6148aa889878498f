//go:build unix

package notify

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newCommand(t *testing.T, script string) *command {
	t.Helper()
	s, err := NewCommand([]string{"/bin/sh", "-c", script, "sh", "$(no shell of ours)", "two words"})
	if err != nil {
		t.Fatal(err)
	}
	return s.(*command)
}

func TestCommand(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	c := newCommand(t, `{ echo "$1|$2|$#"; cat; } > `+out)
	if err := c.Send(context.Background(), alert(7)); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != "$(no shell of ours)|two words|2\n{\"n\":7}\n" {
		t.Errorf("%v: %q", err, b)
	}
	err := newCommand(t, `echo "went wrong" >&2; exit 4`).Send(context.Background(), alert(1))
	if err == nil || err.Error() != `command: /bin/sh: exit status 4: "went wrong\n"` {
		t.Errorf("got %v", err)
	}
	if err := newCommand(t, "yes | head -c 100000 >&2; exit 1").Send(context.Background(), alert(1)); err == nil || len(err.Error()) > 1000 {
		t.Errorf("a flood of words: %.100v", err)
	}
	if err := newCommand(t, "exec <&-; exit 0").Send(context.Background(), alert(1)); err != nil {
		t.Errorf("one that does not read: %v", err)
	}
}

// TestCommandTimeout: one that hangs, and what it started, is killed.
func TestCommandTimeout(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "pid")
	c := newCommand(t, `sleep 1000 & echo $! > `+mark+`; wait`)
	c.patience = 500 * time.Millisecond
	err := c.Send(context.Background(), alert(1))
	if err == nil || !strings.Contains(err.Error(), "still running") {
		t.Fatalf("got %v", err)
	}
	b, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(b))
	for { // init reaps it
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") || !strings.Contains(string(stat), "(sleep)") {
			break
		}
		time.Sleep(time.Millisecond)
	}
}

func TestCommandNone(t *testing.T) {
	for _, argv := range [][]string{nil, {""}, {"/no/such/program"}, {t.TempDir()}} {
		if _, err := NewCommand(argv); err == nil {
			t.Errorf("%q is taken", argv)
		}
	}
}
