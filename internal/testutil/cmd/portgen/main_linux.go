package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/portreporter/portreporter/internal/testutil/netconf"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// options are the flags.
type options struct {
	here       bool
	inside     bool // in the namespace already
	truth      string
	stats      bool
	hold       bool
	data       int
	close      string
	nullAccept bool
	ipv6       bool
	mapped     bool
	connected  bool
	threads    int
	rate       float64
	parallel   int
	float      bool
	steer      bool
}

func (o *options) flags(f *flag.FlagSet) {
	f.BoolVar(&o.here, "here", false, "work in this network namespace, not in a new one")
	f.BoolVar(&o.inside, "inside", false, "the new namespace is there already (internal)")
	f.StringVar(&o.truth, "truth", "", "file for the ground truth (default standard output)")
	f.BoolVar(&o.stats, "stats", false, "tell what it cost only, and no truth")
	f.BoolVar(&o.hold, "hold", false, "begin at a line on standard input, and end at its end; says \"ready\" and \"done\" on standard error")
	f.IntVar(&o.data, "data", 0, "payload bytes each way")
	f.StringVar(&o.close, "close", closeAny, "tcp: who closes first: any, client, server or rst")
	f.BoolVar(&o.nullAccept, "null-accept", false, "tcp: accept without asking for the peer")
	f.BoolVar(&o.ipv6, "ipv6", false, "IPv6")
	f.BoolVar(&o.mapped, "mapped", false, "IPv4 on IPv6 sockets")
	f.BoolVar(&o.connected, "connected", false, "udp: connect the client's socket")
	f.IntVar(&o.threads, "threads", 1, "tcp: threads on each side")
	f.Float64Var(&o.rate, "rate", 0, "per second; 0 is as fast as possible")
	f.IntVar(&o.parallel, "parallel", 1, "procs: processes at a time")
	f.BoolVar(&o.steer, "steer", false, "in the new namespace, have each packet received in an interrupt of either processor (RPS)")
	f.BoolVar(&o.float, "float", false, "do not pin client and server to processors 0 and 1")
}

// args returns the flags that a child needs.
func (o *options) args() []string {
	return []string{"-data", strconv.Itoa(o.data), "-close", o.close, "-threads", strconv.Itoa(o.threads),
		"-null-accept=" + strconv.FormatBool(o.nullAccept), "-ipv6=" + strconv.FormatBool(o.ipv6),
		"-mapped=" + strconv.FormatBool(o.mapped), "-float=" + strconv.FormatBool(o.float)}
}

func main() {
	debug.SetGCPercent(-1) // raw system calls that block would hold up a collection
	os.Exit(start(os.Args[1:]))
}

// start runs the generator and turns failures into an exit status.
func start(args []string) (status int) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case failure:
			fmt.Fprintln(os.Stderr, "portgen:", v.err)
			status = 1
		default:
			panic(v)
		}
	}()
	if len(args) > 0 && args[0] == "child" {
		runChild(args[1:])
		return 0
	}
	var o options
	f := flag.NewFlagSet("portgen", flag.ContinueOnError)
	o.flags(f)
	if err := f.Parse(args); err != nil {
		return 2
	}
	if f.NArg() == 1 && f.Arg(0) == "cases" {
		for _, c := range cases() {
			fmt.Println(c.name)
		}
		return 0
	}
	if f.NArg() == 2 && f.Arg(0) == "verify" {
		return verify(f.Arg(1), os.Stdin, os.Stdout)
	}
	if err := check(f.Args(), &o); err != nil {
		fmt.Fprintln(os.Stderr, "portgen:", err)
		return 2
	}
	if !o.here && !o.inside {
		return again(args, o.steer)
	}
	if o.inside {
		must("loopback", netconf.Up("lo"))
		if o.steer {
			must("receive packet steering", steer())
		}
	}
	runtime.GOMAXPROCS(max(runtime.NumCPU(), o.threads+2))
	o.do(f.Arg(0), f.Arg(1))
	return 0
}

func check(args []string, o *options) error {
	if len(args) != 2 {
		return errors.New("want tcp N, udp N, procs N, case NAME, cases or verify TRUTH")
	}
	switch o.close {
	case closeAny, closeClient, closeServer, closeReset:
	default:
		return fmt.Errorf("unknown -close %q", o.close)
	}
	if o.steer && o.here {
		return errors.New("-steer wants a new namespace: not -here")
	}
	switch args[0] {
	case "tcp", "udp", "procs":
		if n, err := strconv.Atoi(args[1]); err != nil || n < 1 {
			return fmt.Errorf("bad number %q", args[1])
		}
	case "case":
		_, err := pick(args[1])
		return err
	default:
		return fmt.Errorf("unknown command %q", args[0])
	}
	return nil
}

// verify compares events on in, as JSON Lines, with the truth in a file.
func verify(name string, in io.Reader, out io.Writer) int {
	f, err := os.Open(name)
	must("open truth", err)
	defer f.Close()
	log, err := truth.Read(f)
	must("truth", err)
	v := truth.NewVerifier(log)
	for e, err := range truth.Events(in) {
		must("events", err)
		v.Add(e)
	}
	r := v.Report()
	fmt.Fprint(out, r)
	if err := r.Err(); err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	return 0
}

// again runs this program in a new network namespace. Its threads are all in
// it then, which unshare(2) would not do for those that are there already.
func again(args []string, mounts bool) int {
	c := exec.Command("/proc/self/exe", append([]string{"-inside"}, args...)...)
	c.Args[0] = "portgen"
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if mounts {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNS
	}
	if err := c.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return max(1, exit.ExitCode())
		}
		must("new network namespace", err)
	}
	return 0
}

func (o options) do(what, arg string) {
	r := newRun(o)
	r.cse = what
	if o.hold {
		fmt.Fprintln(os.Stderr, "ready")
		await()
	}
	n, _ := strconv.Atoi(arg)
	switch what {
	case "tcp":
		r.tcp(n)
	case "udp":
		r.udp(n)
	case "procs":
		r.procs(n)
	case "case":
		r.cases(arg)
	}
	r.write()
	if o.hold {
		fmt.Fprintln(os.Stderr, "done")
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

func (r *run) write() {
	r.log.To = boottime()
	if r.stats {
		r.log.Procs, r.log.Expects, r.log.Exchanges = nil, nil, nil
	}
	out := os.Stdout
	if r.truth != "" {
		var err error
		out, err = os.OpenFile(r.truth, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
		must("create truth", err)
	}
	must("write truth", r.log.Write(out))
	must("write truth", out.Close())
}

// runChild is the main of a child: args are its role and its arguments.
func runChild(args []string) {
	var o options
	f := flag.NewFlagSet("child", flag.PanicOnError)
	o.flags(f)
	role, rest := args[0], args[1:]
	n := 0
	if strings.HasSuffix(role, "-server") {
		n, _ = strconv.Atoi(rest[0])
		_ = f.Parse(rest[1:])
		runtime.GOMAXPROCS(max(runtime.NumCPU(), o.threads+2))
	}
	r := &run{options: o}
	switch role {
	case "tcp-server":
		r.tcpServer(n)
	case "procs-server":
		r.procsServer(n)
	case "udp-server":
		r.udpServer(n)
	default:
		act(role, rest)
	}
}

// steer has loopback's packets received by processors 0 and 1 in turn, which are
// interrupted for it, as by a network card. The settings of this network namespace
// are in a sysfs of its own, so this process has mounts of its own.
func steer() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	return os.WriteFile("/sys/class/net/lo/queues/rx-0/rps_cpus", []byte("3"), 0)
}
