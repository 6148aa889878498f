package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/portreporter/portreporter/bench/run"
	"github.com/portreporter/portreporter/internal/testutil/netconf"
)

// options are the flags.
type options struct {
	sockets, rounds int
	portreporter    string
	record, ready   string
	list            string
	inside          bool
}

func main() {
	var o options
	flag.IntVar(&o.sockets, "sockets", 50000, "how many sockets to open")
	flag.IntVar(&o.rounds, "rounds", 7, "how often each program is asked")
	flag.StringVar(&o.portreporter, "portreporter", "", "the program (default: built from this tree)")
	flag.StringVar(&o.record, "record", "{portreporter} record --dir {dir}/record --control-path {dir}/control", "the recorder's command line")
	flag.StringVar(&o.ready, "ready", "recording", "what the recorder's standard error says when it is ready")
	flag.StringVar(&o.list, "list", "{portreporter} list --all --dir {dir}/record --control-path {dir}/{control}", "the command line that lists sockets; {control} exists, or does not")
	flag.BoolVar(&o.inside, "inside", false, "the namespace is there already (internal)")
	holder := flag.Int("hold", 0, "hold connections, number this (internal)")
	flag.Parse()
	err := o.start(*holder)
	if err != nil {
		fmt.Fprintln(os.Stderr, "snapshot:", err)
		os.Exit(1)
	}
}

func (o *options) start(holder int) error {
	switch {
	case holder > 0:
		return hold(holder, o.sockets)
	case !o.inside:
		return again()
	}
	if err := netconf.Up("lo"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "snapshot")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.portreporter, err = run.Build(o.portreporter, run.Recorder, dir); err != nil {
		return err
	}
	stop, err := o.open()
	defer stop()
	if err != nil {
		return err
	}
	return o.measure(dir)
}

// again runs this program in a new network namespace.
func again() error {
	c := exec.Command("/proc/self/exe", append([]string{"-inside"}, os.Args[1:]...)...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	return c.Run()
}

const holders = 10

// open starts the holders and waits until each has its sockets.
func (o *options) open() (stop func(), err error) {
	var all []*exec.Cmd
	stop = func() {
		for _, c := range all {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}
	for i := range holders {
		c := exec.Command("/proc/self/exe", "-hold", fmt.Sprint(i+1), "-sockets", fmt.Sprint(o.sockets/holders))
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		if err != nil {
			return stop, err
		}
		if err := c.Start(); err != nil {
			return stop, err
		}
		all = append(all, c)
		var b [1]byte
		if _, err := io.ReadFull(out, b[:]); err != nil {
			return stop, fmt.Errorf("holder %d: %w", i+1, err)
		}
	}
	return stop, nil
}

// contestant is one way to ask.
type contestant struct {
	name string
	args []string
	time []float64 // ms
	size int       // of its answer, bytes
}

func (o *options) measure(dir string) error {
	values := map[string]string{"portreporter": o.portreporter, "dir": dir, "control": "control"}
	alone := map[string]string{"portreporter": o.portreporter, "dir": dir, "control": "none"}
	tool, err := run.Start(run.Starting{Args: run.Expand(o.record, values), Ready: o.ready})
	if err != nil {
		return err
	}
	all := []*contestant{
		{name: "ss -tunap", args: []string{"ss", "-tunap"}},
		{name: "list, with a recorder", args: run.Expand(o.list, values)},
		{name: "list, without", args: run.Expand(o.list, alone)},
		{name: "lsof -nP -i", args: []string{"lsof", "-nP", "-i"}},
	}
	for range o.rounds {
		for _, c := range all {
			if err := c.ask(); err != nil {
				return errors.Join(err, stopped(tool))
			}
		}
	}
	if err := stopped(tool); err != nil {
		return err
	}
	fmt.Printf("%s\n%d sockets, %d rounds\n", run.Machine(), o.sockets, o.rounds)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "asked\tms\tof ss\tlines")
	for _, c := range all {
		fmt.Fprintf(t, "%s\t%v\tx%v\t%d\n", c.name, run.Summarise(c.time), run.Summarise(run.Paired(c.time, all[0].time)), c.size)
	}
	return t.Flush()
}

func stopped(t *run.Tool) error {
	_, err := t.Stop()
	return err
}

func (c *contestant) ask() error {
	cmd := exec.Command(c.args[0], c.args[1:]...)
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msg
	start := time.Now()
	err := cmd.Run()
	c.time = append(c.time, float64(time.Since(start).Microseconds())/1e3)
	c.size = bytes.Count(out.Bytes(), []byte{'\n'})
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(c.args[0]), err, strings.TrimSpace(msg.String()))
	}
	return nil
}
