package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/render"
)

// PortQry's exit codes (KB 832919), and the one for a test that did not take
// place.
const (
	portqryListening    = 0
	portqryNotListening = 1
	portqryFiltered     = 2 // LISTENING or FILTERED, too
	portqryFailed       = 99
)

// RunPortQry carries out a command line of portqry, with PortQry 2.0's options,
// words and exit codes: 0 LISTENING, 1 NOT LISTENING, 2 FILTERED or LISTENING or
// FILTERED, the highest of all ports tested; 99 when no test took place. ctx
// ends it in good order, its log whole.
func RunPortQry(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a, err := parsePortqry(args)
	if err != nil {
		fmt.Fprintln(stderr, "portqry: "+oneLine(err.Error()))
		return portqryFailed
	}
	if a.help {
		return printTo(stdout, stderr, render.AppendPortQryHelp(nil, portqryHelp()))
	}
	if a.version {
		return printTo(stdout, stderr, []byte("portqry "+buildVersion()+"\n"))
	}
	q := newPortqry(a, stdin, stdout, portqryCommand(args))
	code, err := q.run(ctx)
	if err := errors.Join(err, q.closeLog()); err != nil && !isBrokenPipe(err) {
		fmt.Fprintln(stderr, "portqry: "+oneLine(err.Error()))
		return portqryFailed
	}
	return code
}

func printTo(stdout, stderr io.Writer, b []byte) int {
	if err := writeAll(stdout, b); err != nil && !isBrokenPipe(err) {
		fmt.Fprintln(stderr, "portqry: "+oneLine(err.Error()))
		return portqryFailed
	}
	return 0
}

func portqryHelp() (rows [][2]string) {
	for _, o := range portqryOptions() {
		rows = append(rows, [2]string{strings.TrimSpace("-" + o.name + " " + o.value), o.help})
	}
	return rows
}

// portqryCommand is the command line for the log, without the community: it is
// a password.
func portqryCommand(args []string) string {
	words := []string{"portqry"}
	hide := false
	for _, w := range args {
		switch name, isSwitch := switchName(w); {
		case hide:
			hide = !strings.HasSuffix(w, "!")
			continue
		case isSwitch && name == "cn":
			hide = true
			w += " !*!"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// portTester tests one port and asks its question.
type portTester interface {
	// test returns an error only where no test took place; a source port that
	// is in use is one.
	test(ctx context.Context, t probe.Target) (probe.Result, error)
}

// portqry is one run of the program.
type portqry struct {
	portqryArgs
	command string
	stdin   io.Reader
	in      *bufio.Reader
	out     io.Writer
	logFile *os.File
	tester  portTester
	names   services
	failed  error // the first write that failed
}

func newPortqry(a portqryArgs, stdin io.Reader, stdout io.Writer, command string) *portqry {
	q := &portqry{portqryArgs: a, in: bufio.NewReader(stdin), stdin: stdin, out: stdout, command: command}
	q.tester = engineTester{&q.portqryArgs}
	return q
}

func (q *portqry) run(ctx context.Context) (code int, err error) {
	if q.names, err = readServices(q.services); err != nil {
		return portqryFailed, err
	}
	if err := q.openLog(); err != nil {
		return portqryFailed, err
	}
	switch {
	case q.interactive:
		return q.converse(ctx)
	case q.local:
		return 0, q.showLocal(ctx)
	case q.watchPort > 0, q.watchPID >= 0:
		return 0, q.watch(ctx)
	}
	return q.query(ctx)
}

// print writes to the screen, unless it is quiet, and to the log.
func (q *portqry) print(b []byte) {
	if !q.quiet {
		q.write(q.out, b)
	}
	if q.logFile != nil {
		q.write(q.logFile, b)
	}
}

func (q *portqry) write(w io.Writer, b []byte) {
	if _, err := w.Write(b); err != nil && q.failed == nil {
		q.failed = err
	}
}

// text is what answers are printed with.
func (q *portqry) text() render.PortQry {
	return render.PortQry{Service: q.names.name, Verbose: q.verbose, Community: q.community}
}

// printResult prints a result; the log has no community, which is a password.
func (q *portqry) printResult(r *probe.Result) {
	text := q.text()
	if !q.quiet {
		q.write(q.out, text.AppendResult(nil, r))
	}
	if text.Community = "*"; q.logFile != nil {
		q.write(q.logFile, text.AppendResult(nil, r))
	}
}

// query tests the host's ports, and returns the highest exit code.
func (q *portqry) query(ctx context.Context) (code int, err error) {
	addr, err := q.resolve(ctx)
	if err != nil {
		return portqryFailed, err
	}
	q.print([]byte("querying...\n\n"))
	for _, port := range q.ports() {
		for _, proto := range q.protos {
			r, err := q.tester.test(ctx, probe.Target{Host: q.host, Addr: addr, Proto: proto, Port: port, Service: q.names.name(proto, port)})
			if err != nil {
				return portqryFailed, err
			}
			q.printResult(&r)
			code = max(code, portqryCode(r.Verdict))
			if q.failed != nil {
				return portqryFailed, q.failed
			}
		}
	}
	return code, nil
}

func portqryCode(v probe.Verdict) int {
	switch v {
	case probe.Listening:
		return portqryListening
	case probe.NotListening:
		return portqryNotListening
	case probe.Filtered, probe.ListeningOrFiltered:
		return portqryFiltered
	}
	return portqryFailed
}

// resolve prints who is to be asked and finds the address: that of a name, IPv4
// first as PortQry knew no other, or the name of an address, which need not be.
func (q *portqry) resolve(ctx context.Context) (netip.Addr, error) {
	text := q.text()
	q.print(text.AppendTarget(nil, q.host))
	if addr, err := netip.ParseAddr(q.host); err == nil {
		if !q.noReverse {
			names, _ := net.DefaultResolver.LookupAddr(ctx, q.host)
			q.print(text.AppendReverse(nil, names))
		}
		return addr.Unmap(), ctx.Err()
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", q.host)
	if len(addrs) == 0 {
		q.print(text.AppendResolved(nil, netip.Addr{}))
		return netip.Addr{}, fmt.Errorf("resolve %q: %w", q.host, dnsCause(err))
	}
	addr := addrs[0]
	for _, a := range addrs {
		if a.Unmap().Is4() {
			addr = a
			break
		}
	}
	addr = addr.Unmap()
	q.print(text.AppendResolved(nil, addr))
	return addr, nil
}

// dnsCause leaves the name out, which the error's beginning has.
func dnsCause(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return errors.New(dns.Err)
	}
	return err
}

// openLog begins the log, and asks before it takes another's place.
func (q *portqry) openLog() error {
	if q.log == "" {
		return nil
	}
	if _, err := os.Lstat(q.log); err == nil && !q.overwrite && !q.quiet {
		q.write(q.out, fmt.Appendf(nil, "%s exists already. Overwrite it? (y/n) ", render.Safe(q.log)))
		answer, _ := q.in.ReadString('\n')
		if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
			return errors.New("the log was left as it is")
		}
	}
	f, err := os.OpenFile(filepath.Clean(q.log), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	q.logFile = f
	host, _ := os.Hostname()
	_, err = f.Write(render.AppendPortQryLogHead(nil, time.Now(), q.command, host))
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}

// closeLog ends the log, however the run ended.
func (q *portqry) closeLog() error {
	if q.logFile == nil {
		return nil
	}
	_, err := q.logFile.WriteString(render.PortQryLogEnd)
	if err = errors.Join(err, q.logFile.Close()); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}
