package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/capture"
	"github.com/portreporter/portreporter/internal/control"
	"github.com/portreporter/portreporter/internal/enrich"
	"github.com/portreporter/portreporter/internal/proc"
	"github.com/portreporter/portreporter/internal/render"
)

func newListCommand() *cobra.Command {
	var f format
	var all, kernel, complete bool
	var at string
	var only severityFlag
	cmd := &cobra.Command{
		Use:   "list [FILTER ...]",
		Short: "List the ports that are open now, or were at a past moment, and who has them",
		Long: `List the ports that are open now: TCP listeners and UDP sockets, with --all the
connections too; each with its process, user, unit or container, and since when.

A running recorder answers from its table. Where none runs, or with --kernel,
the kernel is asked; it does not know since when.

With --at, what was open at that moment is rebuilt from the record
(docs/TIMETRAVEL.md). TIME is as in the filter: 2h (ago), "yesterday 14:00",
2026-11-24T20:41:50Z; a day means its beginning. If the moment is in a gap of the
record, that is said on stderr; with --require-complete the exit code is then 3.

What a rule of interest is about has its severity and the rule's name in the last
column (docs/INTEREST.md); --interest leaves the rest out.`,
		Example: `  portreporter list                  what listens here
  portreporter list port:8080        who has port 8080
  portreporter list --all user:www-data -unit:nginx.service
  portreporter list --at "yesterday 14:00" port:8080`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check("list"); err != nil {
				return err
			}
			cfg, err := loadReaderConfig(cmd)
			if err != nil {
				return err
			}
			x, err := parseAsked("list", args, cfg)
			if err != nil {
				return err
			}
			if at == "" && complete {
				return usagef("list: --require-complete is about the record: say a time with --at")
			}
			show := func(socks []*activity.Socket, now time.Time) error {
				socks = slices.DeleteFunc(socks, func(s *activity.Socket) bool {
					return !all && len(args) == 0 && !only.on() && !holdsPort(s) || x != nil && !x.MatchSocket(s)
				})
				sortSockets(socks)
				found, err := interestOf(cmd.Context(), cfg, at != "", only.least, cmd.ErrOrStderr())
				if err != nil {
					return err
				}
				if only.on() {
					socks = slices.DeleteFunc(socks, func(s *activity.Socket) bool { return len(found(s)) == 0 })
				}
				return printSockets(cmd.OutOrStdout(), socks, f, now, found)
			}
			if at != "" {
				if kernel {
					return usagef("list: the kernel knows no past: leave out --kernel or --at")
				}
				return listAt(cmd.Context(), cfg, at, complete, show, cmd.ErrOrStderr())
			}
			// It ends in moments, so memory is cheaper than collecting it.
			defer debug.SetGCPercent(debug.SetGCPercent(-1))
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(listHeap))
			socks, err := openSockets(cmd.Context(), cfg, kernel, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return show(socks, time.Now())
		},
	}
	addConfigFlags(cmd, append(interestKeys(), "dir", "control.path", "process.args")...)
	addInterestFlag(cmd, &only, "ports and connections")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "connections too; a filter implies it")
	cmd.Flags().StringVar(&at, "at", "", "what was open at `TIME`, from the record")
	cmd.Flags().BoolVar(&complete, "require-complete", false, "with --at, exit with 3 where the record has a gap then")
	cmd.Flags().BoolVar(&kernel, "kernel", false, "ask the kernel even where a recorder runs")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON Lines")
	cmd.Flags().BoolVar(&f.csv, "csv", false, "print CSV")
	return cmd
}

// listHeap is the memory from which on list collects its garbage: some 200,000
// sockets.
const listHeap = 256 << 20

func holdsPort(s *activity.Socket) bool {
	return s.State == activity.StateListen || s.Proto == activity.UDP
}

// openSockets asks the recorder, else the kernel.
func openSockets(ctx context.Context, cfg Config, kernel bool, stderr io.Writer) ([]*activity.Socket, error) {
	if kernel {
		return kernelSockets(cfg, stderr)
	}
	c, err := control.Dial(ctx, cfg.ControlPath)
	var socks []*activity.Socket
	if err == nil {
		socks, err = recorderSockets(ctx, c)
	}
	switch {
	case errors.Is(err, control.ErrNotRunning), errors.Is(err, control.ErrUnsupported):
		return kernelSockets(cfg, stderr)
	case errors.Is(err, control.ErrPermission), errors.Is(err, control.ErrNoAnswer):
		fmt.Fprintf(stderr, "portreporter: list: %s; asking the kernel instead\n", oneLine(err.Error()))
		return kernelSockets(cfg, stderr)
	case err != nil:
		return nil, fmt.Errorf("list: %w", err)
	}
	return socks, nil
}

// recorderSockets reads the recorder's table and closes c.
func recorderSockets(ctx context.Context, c *control.Client) (socks []*activity.Socket, err error) {
	defer c.Close()
	for s, err := range c.List(ctx) {
		if err != nil {
			return nil, err
		}
		socks = append(socks, s)
	}
	return socks, nil
}

// kernelSockets reads the kernel's tables once. Facts of processes are read
// where this user may.
func kernelSockets(cfg Config, stderr io.Writer) ([]*activity.Socket, error) {
	var socks []*activity.Socket
	err := capture.Snapshot(func(s *activity.Socket) bool {
		socks = append(socks, s)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	args, err := enrich.ParseArgsMode(cfg.ProcessArgs)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	e := enrich.New(enrich.Config{Args: args})
	defer e.Close()
	fs := proc.FS{}
	known := map[activity.ProcessKey]*activity.Process{}
	who := func(k activity.ProcessKey) *activity.Process {
		if p, ok := known[k]; ok {
			return p
		}
		p, err := fs.Read(k.PID)
		if err != nil || !proc.SameStart(p.Key.Start, k.Start) {
			known[k] = nil
			return nil
		}
		p.ID = activity.MakeProcessID(nil, k, 0) // the rules of interest are asked once of each
		known[k] = e.Quick(p)
		return known[k]
	}
	unowned := 0
	for _, s := range socks {
		if !s.Owner.IsZero() {
			s.Process = who(s.Owner)
		}
		s.Holders = distinct(s.Holders)
		for _, h := range s.Holders {
			if p := who(h); p != nil && h != s.Owner {
				s.Others = append(s.Others, p)
			}
		}
		if s.Process == nil && holdsPort(s) {
			unowned++
		}
	}
	if unowned > 0 && !isAdmin() {
		fmt.Fprintf(stderr, "portreporter: list: the owner of %d of these ports is another user's: run as root to see who\n", unowned)
	}
	return socks, nil
}

// distinct drops keys that are there already: a process may have a socket open
// more than once.
func distinct(keys []activity.ProcessKey) (out []activity.ProcessKey) {
	if len(keys) < 2 {
		return keys
	}
	for _, k := range keys {
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// sortSockets puts listeners first, then by port, as people look for them.
func sortSockets(socks []*activity.Socket) {
	keyed := make([]sortKey, len(socks))
	for i, s := range socks {
		keyed[i] = makeSortKey(s)
	}
	half := len(keyed) / 2
	done := make(chan struct{})
	go func() {
		slices.SortFunc(keyed[:half], sortKey.compare)
		close(done)
	}()
	slices.SortFunc(keyed[half:], sortKey.compare)
	<-done
	merge(socks, keyed[:half], keyed[half:])
}

// merge fills socks with those of two lists in order.
func merge(socks []*activity.Socket, a, b []sortKey) {
	for i := range socks {
		from := &a
		if len(a) == 0 || len(b) > 0 && b[0].compare(a[0]) < 0 {
			from = &b
		}
		socks[i] = (*from)[0].socket
		*from = (*from)[1:]
	}
}

// sortKey has as much of the order in two numbers as fits: comparing sockets
// in full took longer than anything else about a list of 50,000.
type sortKey struct {
	local, remote uint64
	socket        *activity.Socket
}

func makeSortKey(s *activity.Socket) sortKey {
	k := sortKey{local: addrKey(s.Local) >> 9, remote: addrKey(s.Remote), socket: s}
	k.local |= uint64(s.Proto) << 55
	if !holdsPort(s) {
		k.local |= 1 << 63
	}
	return k
}

// wholeKey is set in the key of an address that fits it whole: an IPv4 one.
const wholeKey = 1 << (46 - 9)

// addrKey orders as compareAddrPorts does, as far as 64 bits go: the port, the
// kind of address, and its first 46 bits.
func addrKey(a netip.AddrPort) uint64 {
	k := uint64(a.Port()) << 48
	switch ip := a.Addr(); {
	case ip.Is4():
		b := ip.As4()
		k |= 1<<46 | uint64(binary.BigEndian.Uint32(b[:]))<<14
	case ip.IsValid():
		b := ip.As16()
		k |= 2<<46 | binary.BigEndian.Uint64(b[:])>>18
	}
	return k
}

func (k sortKey) compare(l sortKey) int {
	if c := cmp.Compare(k.local, l.local); c != 0 {
		return c
	}
	if k.local&wholeKey != 0 {
		if c := cmp.Compare(k.remote, l.remote); c != 0 {
			return c
		}
	}
	return compareSockets(k.socket, l.socket)
}

func compareSockets(a, b *activity.Socket) int {
	if ha, hb := holdsPort(a), holdsPort(b); ha != hb {
		if ha {
			return -1
		}
		return 1
	}
	if c := cmp.Compare(a.Proto, b.Proto); c != 0 {
		return c
	}
	if c := compareAddrPorts(a.Local, b.Local); c != 0 {
		return c
	}
	return cmp.Or(compareAddrPorts(a.Remote, b.Remote), cmp.Compare(a.Cookie, b.Cookie))
}

// compareAddrPorts puts the port before the address.
func compareAddrPorts(a, b netip.AddrPort) int {
	if c := cmp.Compare(a.Port(), b.Port()); c != 0 {
		return c
	}
	return a.Addr().Compare(b.Addr())
}

// printSockets prints sockets as they were at now, with what found says of them.
func printSockets(w io.Writer, socks []*activity.Socket, f format, now time.Time, found func(*activity.Socket) []activity.Finding) error {
	opt := renderOptions(w)
	opt.Now, opt.Findings = now, found
	if !f.json && !f.csv {
		return written(render.WriteSockets(w, socks, opt))
	}
	row := func(b []byte, s *activity.Socket) []byte {
		return render.AppendFindingsJSON(render.AppendSocketJSON(b, s, opt), found(s))
	}
	out := bufio.NewWriterSize(w, 32<<10)
	if f.csv {
		c := render.SocketCSV(opt).Interest(found)
		_, _ = out.Write(c.AppendHeader(out.AvailableBuffer())) // its error is told by Flush
		row = c.Append
	}
	for _, s := range socks {
		_, _ = out.Write(row(out.AvailableBuffer(), s))
	}
	return written(out.Flush())
}
