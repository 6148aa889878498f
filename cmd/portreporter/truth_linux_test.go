package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/portreporter/portreporter/internal/testutil"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// recorderUnderTest is a running `portreporter record`, in a directory of its
// own.
type recorderUnderTest struct {
	t       *testing.T
	bin     string
	dir     string
	control string
	cmd     *exec.Cmd
	said    *lines        // its standard error
	drained chan struct{} // closed when all of it has been read

	settlings int // calls of settled
}

// startRecorder starts a recorder and waits until it records.
func startRecorder(t *testing.T, args ...string) *recorderUnderTest {
	t.Helper()
	r := prepareRecorder(t)
	r.start(args...)
	return r
}

// prepareRecorder prepares a recorder that is yet to be started.
func prepareRecorder(t *testing.T) *recorderUnderTest {
	t.Helper()
	testutil.Root(t, "recording every process's ports")
	dir := t.TempDir()
	r := &recorderUnderTest{t: t, bin: testutil.Build(t, "./cmd/portreporter"), dir: filepath.Join(dir, "record"),
		control: filepath.Join(dir, "control.sock"), said: &lines{}}
	t.Cleanup(func() {
		if r.cmd != nil {
			r.stop()
		}
	})
	return r
}

// start starts the recorder and waits until it records.
func (r *recorderUnderTest) start(args ...string) {
	r.t.Helper()
	r.launch(args...)
	if !r.said.await("msg=recording", r.drained) {
		r.kill()
		r.t.Fatalf("the recorder does not record:\n%s", r.said)
	}
}

// launch starts the recorder.
func (r *recorderUnderTest) launch(args ...string) {
	r.t.Helper()
	args = append([]string{"record", "--dir", r.dir, "--control-path", r.control}, args...)
	r.cmd = exec.Command(r.bin, args...)
	pipe, err := r.cmd.StderrPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	drained := make(chan struct{})
	r.drained = drained
	r.said.clear()
	go func() {
		defer close(drained)
		r.said.read(pipe)
	}()
}

// stop ends the recorder as a service manager does, and wants a clean exit.
func (r *recorderUnderTest) stop() {
	r.t.Helper()
	cmd := r.cmd
	r.cmd = nil
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Error(err)
	}
	<-r.drained
	if err := cmd.Wait(); err != nil {
		r.t.Errorf("the recorder ended with %v:\n%s", err, r.said)
	}
}

// run runs another command of the same program on the same record.
func (r *recorderUnderTest) run(args ...string) []byte {
	r.t.Helper()
	cmd := exec.Command(r.bin, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("portreporter %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// events reads the whole record.
func (r *recorderUnderTest) events(filter ...string) io.Reader {
	r.t.Helper()
	return bytes.NewReader(r.run(append([]string{"events", "--json", "--dir", r.dir}, filter...)...))
}

// generate runs portgen and returns what it did.
func generate(t *testing.T, args ...string) *truth.Log {
	t.Helper()
	file := filepath.Join(t.TempDir(), "truth")
	cmd := exec.Command(testutil.Build(t, "./internal/testutil/cmd/portgen"), append([]string{"-truth", file}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("portgen %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log, err := truth.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestScenarios(t *testing.T) {
	r := startRecorder(t)
	log := generate(t, "case", "all")
	r.stop()
	rep := r.verify(log)
	if err := rep.Err(); err != nil {
		t.Errorf("%v\n%s", err, rep)
	}
	for _, s := range log.Skips {
		t.Logf("the generator left out %+v", s)
	}
}
