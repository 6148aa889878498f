package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/portreporter/portreporter/bench/run"
)

// options are the flags.
type options struct {
	loads        list
	portreporter string
	portgen      string
	record       string
	ready        string
	events       string
	keep         string
}

type list []string

func (l *list) String() string     { return strings.Join(*l, "; ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	var o options
	flag.Var(&o.loads, "load", "the generator's arguments; may be repeated (default a mix)")
	flag.StringVar(&o.portreporter, "portreporter", "", "the program (default: built from this tree)")
	flag.StringVar(&o.portgen, "portgen", "", "the generator (default: built from this tree)")
	flag.StringVar(&o.record, "record", "{portreporter} record --dir {dir} --control-path {dir}.control", "the recorder's command line")
	flag.StringVar(&o.ready, "ready", "recording", "what the recorder's standard error says when it is ready")
	flag.StringVar(&o.events, "events", "{portreporter} events --json --dir {dir}", "the command line that tells all events, one a line")
	flag.StringVar(&o.keep, "dir", "", "record there, and keep it (default: a temporary directory)")
	flag.Parse()
	if len(o.loads) == 0 {
		o.loads = list{"-data 500 -close client -rate 5000 tcp 40000", "-data 100 -rate 5000 udp 20000", "-parallel 2 procs 4000", "case all"}
	}
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "disk:", err)
		os.Exit(1)
	}
}

func (o *options) run() error {
	dir, err := os.MkdirTemp("", "disk")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.portgen, err = run.Build(o.portgen, run.Generator, dir); err != nil {
		return err
	}
	if o.portreporter, err = run.Build(o.portreporter, run.Recorder, dir); err != nil {
		return err
	}
	record := dir + "/record"
	if o.keep != "" {
		record = o.keep
	}
	values := map[string]string{"portreporter": o.portreporter, "dir": record}
	if err := o.fill(values); err != nil {
		return err
	}
	n, err := count(run.Expand(o.events, values))
	if err != nil {
		return err
	}
	s, err := sum(os.DirFS(record))
	if err != nil {
		return err
	}
	fmt.Printf("%s\n%s: %d events\n", run.Machine(), o.loads.String(), n)
	return s.print(os.Stdout, n)
}

// fill records the loads.
func (o *options) fill(values map[string]string) error {
	tool, err := run.Start(run.Starting{Args: run.Expand(o.record, values), Ready: o.ready})
	if err != nil {
		return err
	}
	for _, load := range o.loads {
		if err = o.load(strings.Fields(load)); err != nil {
			break
		}
	}
	_, stop := tool.Stop()
	return errors.Join(err, stop)
}

func (o *options) load(args []string) error {
	c := exec.Command(o.portgen, append([]string{"-stats"}, args...)...)
	c.Stderr = os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("generator %q: %w", args, err)
	}
	return nil
}

// count counts the lines that a command prints.
func count(args []string) (n int, err error) {
	c := exec.Command(args[0], args[1:]...)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := c.Start(); err != nil {
		return 0, err
	}
	s := bufio.NewScanner(out)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		n++
	}
	return n, errors.Join(s.Err(), c.Wait())
}
