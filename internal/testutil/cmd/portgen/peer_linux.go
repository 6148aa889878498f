package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// peer is another process of the generator: this program, executed again with
// the words "child ROLE ...". It tells what it does on its standard output, one
// JSON report a line, and goes on with its next step at each line of its input.
type peer struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	proc int // in the log
}

// report is what a child tells.
type report struct {
	Proc   *truth.Proc // the first one only
	Local  string      // the address it got, where it got one
	Errno  int
	CPU    int64 // ns spent on what was asked
	Count  int
	Failed int
}

// child is how a peer is started.
type child struct {
	exe   string // "" is this program
	files []*os.File
	attr  *syscall.SysProcAttr
}

// peer starts a child and waits for its first report.
func (r *run) peer(c child, args ...string) *peer {
	if c.exe == "" {
		c.exe = "/proc/self/exe"
	}
	cmd := exec.Command(c.exe, append([]string{"child"}, args...)...)
	cmd.Args[0] = "portgen"
	cmd.ExtraFiles, cmd.SysProcAttr, cmd.Stderr = c.files, c.attr, os.Stderr
	in, err := cmd.StdinPipe()
	must("pipe", err)
	out, err := cmd.StdoutPipe()
	must("pipe", err)
	must("start child", cmd.Start())
	p := &peer{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 64<<10)}
	first := p.report()
	if first.Proc == nil {
		must("child", fmt.Errorf("%v did not introduce itself", args))
	}
	p.proc = r.addProc(*first.Proc)
	return p
}

func (p *peer) report() (v report) {
	b, err := p.out.ReadBytes('\n')
	must("read child's report", err)
	must("parse child's report", json.Unmarshal(b, &v))
	return v
}

// step lets the child go on.
func (p *peer) step() {
	_, err := p.in.Write([]byte{'\n'})
	must("tell child", err)
}

// next lets the child go on and waits for its report.
func (p *peer) next() report {
	p.step()
	return p.report()
}

// wait waits for the child's end.
func (p *peer) wait() {
	p.in.Close()
	must("child", p.cmd.Wait())
}

// tell writes a report to the parent.
func tell(v report) {
	b, err := json.Marshal(v)
	must("report", err)
	_, err = os.Stdout.Write(append(b, '\n'))
	must("report", err)
}

// introduce tells who this child is.
func introduce() {
	p := selfProc()
	tell(report{Proc: &p})
}

// await waits for the parent's next word; that it hangs up is one too.
func await() {
	var b [1]byte
	_, err := os.Stdin.Read(b[:])
	if errors.Is(err, io.EOF) {
		return
	}
	must("read parent's word", err)
}
