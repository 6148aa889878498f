package run

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// Tool is a program that runs beside the load: a recorder.
type Tool struct {
	cmd  *exec.Cmd
	err  *watcher
	done chan error
}

// Starting is how a tool is started.
type Starting struct {
	Args   []string
	Ready  string        // what its standard error says when it is; "": see Settle
	Settle time.Duration // how long to wait for a tool that does not say so
	Attr   *syscall.SysProcAttr
}

// patience is how long a tool may take to become ready, or to end.
const patience = 60 * time.Second

// Start starts a tool and waits until it is ready.
func Start(s Starting) (*Tool, error) {
	t := &Tool{cmd: exec.Command(s.Args[0], s.Args[1:]...), err: &watcher{word: s.Ready, seen: make(chan struct{})}, done: make(chan error, 1)}
	t.cmd.Stdout, t.cmd.Stderr, t.cmd.SysProcAttr = io.Discard, t.err, s.Attr
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Args[0], err)
	}
	go func() { t.done <- t.cmd.Wait() }()
	wait := patience
	if s.Ready == "" {
		wait = s.Settle
	}
	select {
	case <-t.err.seen:
		return t, nil
	case err := <-t.done:
		return nil, fmt.Errorf("%s ended: %w: %s", s.Args[0], errEnded(err), t.err.text())
	case <-time.After(wait):
		if s.Ready == "" {
			return t, nil
		}
		_ = t.cmd.Process.Kill()
		return nil, fmt.Errorf("%s did not say %q within %v: %s", s.Args[0], s.Ready, wait, t.err.text())
	}
}

// errEnded is err, or says that a tool ended well, which is too early too.
func errEnded(err error) error {
	if err == nil {
		return errors.New("too early")
	}
	return err
}

// PID is the tool's process.
func (t *Tool) PID() int { return t.cmd.Process.Pid }

// Stop interrupts the tool, waits for its end, and returns the processor time
// that it spent in all. How it ends is not looked at: some tools fail when
// interrupted.
func (t *Tool) Stop() (time.Duration, error) {
	if err := t.cmd.Process.Signal(os.Interrupt); err != nil {
		return 0, fmt.Errorf("stop %s: %w", t.cmd.Args[0], err)
	}
	select {
	case <-t.done:
	case <-time.After(patience):
		_ = t.cmd.Process.Kill()
		return 0, fmt.Errorf("stop %s: still there after %v", t.cmd.Args[0], patience)
	}
	return t.cmd.ProcessState.UserTime() + t.cmd.ProcessState.SystemTime(), nil
}

// maxText bounds what is kept of a tool's standard error.
const maxText = 8192

// watcher looks for a word in what is written, and keeps the last of it.
type watcher struct {
	word string
	seen chan struct{}

	mu    sync.Mutex
	buf   []byte
	found bool
}

func (w *watcher) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, b...)
	if !w.found && w.word != "" && bytes.Contains(w.buf, []byte(w.word)) {
		w.found = true
		close(w.seen)
	}
	if len(w.buf) > maxText {
		w.buf = w.buf[len(w.buf)-maxText:]
	}
	return len(b), nil
}

func (w *watcher) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(w.buf))
}

// Generate runs the generator with its arguments, in a network namespace of its
// own, and returns what that cost.
func Generate(portgen string, args ...string) (truth.Stats, error) {
	c := exec.Command(portgen, append([]string{"-stats"}, args...)...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return truth.Stats{}, fmt.Errorf("generator %q: %w", args, err)
	}
	l, err := truth.Read(bytes.NewReader(out))
	if err != nil {
		return truth.Stats{}, err
	}
	if len(l.Stats) != 1 {
		return truth.Stats{}, fmt.Errorf("generator %q: told %d costs, want one", args, len(l.Stats))
	}
	return l.Stats[0], nil
}

// Build builds a program of this module into dir, unless path names one that is
// there already.
func Build(path, pkg, dir string) (string, error) {
	if path != "" {
		return path, nil
	}
	out := dir + "/" + pkg[strings.LastIndexByte(pkg, '/')+1:]
	c := exec.Command("go", "build", "-trimpath", "-o", out, pkg)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", pkg, err, b)
	}
	return out, nil
}

// Packages that the measuring programs build.
const (
	Recorder  = "github.com/portreporter/portreporter/cmd/portreporter"
	Generator = "github.com/portreporter/portreporter/internal/testutil/cmd/portgen"
)

// Expand splits a command line at blanks and puts values in the place of their
// names in braces.
func Expand(line string, values map[string]string) []string {
	args := strings.Fields(line)
	for i := range args {
		for k, v := range values {
			args[i] = strings.ReplaceAll(args[i], "{"+k+"}", v)
		}
	}
	return args
}

// Machine describes where the measurement was made, for its head line.
func Machine() string {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	info, _ := os.ReadFile("/proc/cpuinfo")
	model, n := "unknown processor", 0
	for line := range strings.Lines(string(info)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			model = strings.TrimSpace(v)
			n++
		}
	}
	return fmt.Sprintf("Linux %s, %d x %s", strings.TrimSpace(string(release)), n, model)
}
