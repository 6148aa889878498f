package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/portreporter/portreporter/bench/run"
)

// options are the flags.
type options struct {
	rounds       int
	loads        list
	variants     string
	portreporter string
	portgen      string
	record       string
	other        string
	ready        string
	tcplife      string
}

type list []string

func (l *list) String() string     { return strings.Join(*l, "; ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 9, "how often each variant runs each load")
	flag.Var(&o.loads, "load", "the generator's arguments (default bare TCP connections, and with 64 bytes each way)")
	flag.StringVar(&o.variants, "variants", "none,record,tcplife", "what to compare, of none, record, other and tcplife; none must be among them")
	flag.StringVar(&o.portreporter, "portreporter", "", "the program (default: built from this tree)")
	flag.StringVar(&o.portgen, "portgen", "", "the generator (default: built from this tree)")
	flag.StringVar(&o.record, "record", "{portreporter} record --dir {dir}/record --control-path {dir}/control", "the recorder's command line")
	flag.StringVar(&o.other, "other", "", "another recorder's command line, the variant other: to compare a change with what was before")
	flag.StringVar(&o.ready, "ready", "recording", "what the recorder's standard error says when it is ready")
	flag.StringVar(&o.tcplife, "tcplife", "tcplife", "libbpf-tools' tcplife")
	flag.Parse()
	if len(o.loads) == 0 {
		o.loads = list{"tcp 60000", "-data 64 tcp 30000"}
	}
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func (o *options) run() error {
	dir, err := os.MkdirTemp("", "cost")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.portgen, err = run.Build(o.portgen, run.Generator, dir); err != nil {
		return err
	}
	variants := strings.Split(o.variants, ",")
	if o.other == "" && slices.Contains(variants, "other") {
		return errors.New("the variant other wants a command line: -other")
	}
	if strings.Contains(o.variants, "record") {
		if o.portreporter, err = run.Build(o.portreporter, run.Recorder, dir); err != nil {
			return err
		}
	}
	fmt.Println(run.Machine())
	for _, load := range o.loads {
		r, err := o.measure(load, variants)
		if err != nil {
			return err
		}
		r.print(os.Stdout, load, variants)
	}
	return nil
}

// measure runs one load under every variant, round by round.
func (o *options) measure(load string, variants []string) (results, error) {
	r := results{}
	for round := range o.rounds {
		order := append([]string(nil), variants...)
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, v := range order {
			s, err := o.once(v, strings.Fields(load))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v, err)
			}
			r.add(v, s)
		}
		fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, o.rounds, load)
	}
	return r, nil
}

// once runs one load under one variant.
func (o *options) once(variant string, load []string) (s sample, err error) {
	dir, err := os.MkdirTemp("", "cost")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(dir)
	start, err := o.starting(variant, dir)
	if err != nil {
		return s, err
	}
	if start != nil {
		tool, err := run.Start(*start)
		if err != nil {
			return s, err
		}
		defer func() {
			cpu, stop := tool.Stop()
			s.tool, err = cpu, errors.Join(err, stop)
		}()
	}
	s.Stats, err = run.Generate(o.portgen, load...)
	return s, err
}

// starting returns how a variant's tool is started, nil none.
func (o *options) starting(variant, dir string) (*run.Starting, error) {
	switch variant {
	case "none":
		return nil, nil
	case "record":
		return o.recorder(o.record, dir), nil
	case "other":
		return o.recorder(o.other, dir), nil
	case "tcplife":
		// It wants tracefs, which a machine need not have mounted; and it does
		// not say when it is ready.
		script := "mount --make-rprivate / && mount -t tracefs tracefs /sys/kernel/tracing && exec " + o.tcplife
		return &run.Starting{Args: []string{"sh", "-c", script}, Settle: 2 * time.Second,
			Attr: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}}, nil
	}
	return nil, fmt.Errorf("unknown variant %q: want none, record, other or tcplife", variant)
}

func (o *options) recorder(command, dir string) *run.Starting {
	return &run.Starting{Args: run.Expand(command, map[string]string{"portreporter": o.portreporter, "dir": dir}), Ready: o.ready}
}
