package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/render"
)

// queryFlags are the flags of query.
type queryFlags struct {
	format
	groups            []string
	groupsFile        string
	udp, both         bool
	four, six         bool
	as, services      string
	verdictOnly       bool
	expect            string
	watch             time.Duration
	explain, follow   bool
	local             bool
	many              bool
	tries, sourcePort int
	rate              int
	wait              time.Duration
}

func newQueryCommand() *cobra.Command {
	var f queryFlags
	cmd := &cobra.Command{
		Use:   "query HOST[,HOST...] [PORTS]",
		Short: "Test ports from here, and say what answers",
		Long: `Test TCP and UDP ports from here, and say what answers: LISTENING, NOT LISTENING,
FILTERED, or LISTENING or FILTERED, each with what it rests on. What listens is
asked in its protocol's own words.

HOST is a name (each of its addresses is tested), an address or a network such as
192.0.2.0/28. PORTS are numbers, ranges and names of the services file, with
udp/ or both/ before what is not TCP: 22,80-90,udp/53,both/389,https. Without
PORTS and --group, the ports of the group "common" are tested.

HOST may also be a range, 192.0.2.10-20. More than 4096 tests of several addresses
are made with --many only: test what is yours, or what you have leave to test.`,
		Example: `  portreporter query mail.example.com --group mail
  portreporter query 192.0.2.7 22,3389,udp/161 --explain
  portreporter query dc1.example.com --group directory --follow
  portreporter query --expect firewall.txt           for cron and CI: exit 1 when it differs
  portreporter query --local                         what is open here, and who can reach it`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	addConfigFlags(cmd, "dir", "control.path", "process.args")
	fs := cmd.Flags()
	fs.StringArrayVar(&f.groups, "group", nil, "test the ports of group `NAME`; may be repeated; \"list\" lists them")
	fs.StringVar(&f.groupsFile, "groups", "", "read groups of your own from `FILE` (default groups.toml beside the configuration)")
	fs.BoolVar(&f.udp, "udp", false, "PORTS without a word before them are UDP")
	fs.BoolVar(&f.both, "both", false, "PORTS without a word before them are TCP and UDP")
	fs.BoolVarP(&f.four, "ipv4", "4", false, "IPv4 addresses only")
	fs.BoolVarP(&f.six, "ipv6", "6", false, "IPv6 addresses only")
	fs.StringVar(&f.as, "as", "", "ask in the words of `PROTOCOL`, whatever the port")
	fs.StringVar(&f.services, "services", "", "services `FILE`, which names ports and picks the question (default the machine's)")
	fs.BoolVar(&f.verdictOnly, "verdict-only", false, "do not ask what listens")
	fs.StringVar(&f.expect, "expect", "", "compare with `FILE`: a line \"HOST PORTS VERDICT\" each; exit 1 where it differs")
	fs.DurationVar(&f.watch, "watch", 0, "test again each `TIME`, such as 30s, and print what changed, until interrupted")
	fs.BoolVar(&f.explain, "explain", false, "say what each verdict usually means, and what to look at next")
	fs.BoolVar(&f.follow, "follow", false, "test the ports that an endpoint mapper names, too")
	fs.BoolVar(&f.local, "local", false, "test what is open on this machine, and compare with its record")
	fs.BoolVar(&f.many, "many", false, "make more than 4096 tests")
	fs.Var(&numberValue{&f.tries, 0, 10}, "tries", "how often a silent port is asked; 0: TCP three times, UDP once")
	fs.Var(&numberValue{&f.sourcePort, 0, 65535}, "source-port", "source port; 0: any")
	fs.Var(&numberValue{&f.rate, 0, 1_000_000}, "rate", "the most tries, connections and datagrams of questions a second; 0: as the path allows")
	fs.DurationVar(&f.wait, "wait", 0, "the longest wait for an answer; 0: as the path's times say")
	fs.BoolVar(&f.json, "json", false, "print JSON Lines, as results come")
	fs.BoolVar(&f.csv, "csv", false, "print CSV, as results come")
	return cmd
}

// check finds flags that say nothing together.
func (f *queryFlags) check(args []string) error {
	if err := f.format.check("query"); err != nil {
		return err
	}
	one := func(a, b bool, names string) error {
		if a && b {
			return usagef("query: %s exclude each other", names)
		}
		return nil
	}
	return errors.Join(
		one(f.udp, f.both, "--udp and --both"), one(f.four, f.six, "--ipv4 and --ipv6"),
		one(f.expect != "", len(args) > 0, "--expect and HOST"), one(f.expect != "", len(f.groups) > 0, "--expect and --group"),
		one(f.local, len(args) > 0, "--local and HOST"), one(f.local, f.expect != "", "--local and --expect"), one(f.local, f.watch > 0, "--local and --watch"),
		one(f.expect != "", f.watch > 0, "--expect and --watch"), one(f.as != "", f.verdictOnly, "--as and --verdict-only"),
		one(f.local, len(f.groups) > 0, "--local and --group"), one(f.local, f.as != "", "--local and --as"), one(f.local, f.follow, "--local and --follow"),
		one(f.follow, f.watch > 0, "--follow and --watch"), one(f.follow, f.expect != "", "--follow and --expect"), one(f.follow, f.verdictOnly, "--follow and --verdict-only"),
	)
}

func (f *queryFlags) run(cmd *cobra.Command, args []string) error {
	if err := f.check(args); err != nil {
		return err
	}
	groups, err := readGroups(f.groupsPath())
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	if slices.Equal(f.groups, []string{"list"}) {
		return writeAll(cmd.OutOrStdout(), render.AppendGroups(nil, groupRows(groups)))
	}
	names, err := readServices(f.services)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	q := &querying{queryFlags: f, names: names, out: bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10), stderr: cmd.ErrOrStderr()}
	q.text = render.Query{Options: renderOptions(cmd.OutOrStdout()), Explain: f.explain}
	ctx := cmd.Context()
	switch {
	case f.local:
		return q.local(ctx, cmd)
	case f.expect != "":
		return q.expected(ctx)
	case len(args) == 0:
		return usagef("query: an argument is missing: usage: %s", cmd.UseLine())
	}
	places, err := f.places(groups, args[1:])
	if err != nil {
		return usagef("query: %w", err)
	}
	targets, err := q.targets(ctx, args[0], places)
	if err != nil {
		return err
	}
	if f.watch > 0 {
		return q.watchChanges(ctx, targets)
	}
	return q.once(ctx, targets)
}

// groupsPath is the file of one's own groups, where there is one.
func (f *queryFlags) groupsPath() string {
	if f.groupsFile != "" {
		return f.groupsFile
	}
	if path := groupsFile(); path != "" {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func groupRows(groups []group) (rows [][2]string) {
	for _, g := range groups {
		rows = append(rows, [2]string{g.Name, g.Title})
	}
	return rows
}

// usual are the protocols of a port without a word before it.
func (f *queryFlags) usual() []probe.Proto {
	switch {
	case f.udp:
		return []probe.Proto{probe.UDP}
	case f.both:
		return []probe.Proto{probe.TCP, probe.UDP}
	}
	return []probe.Proto{probe.TCP}
}

// places are the ports that are asked for.
func (f *queryFlags) places(groups []group, args []string) ([]servicePlace, error) {
	var all []servicePlace
	if len(args) > 0 {
		own, err := parsePorts(args[0], f.usual(), servicePort)
		if err != nil {
			return nil, err
		}
		all = own
	}
	names := f.groups
	if len(names) == 0 && len(args) == 0 {
		names = []string{"common"}
	}
	for _, name := range names {
		g, err := findGroup(groups, name)
		if err != nil {
			return nil, err
		}
		more, err := parsePorts(strings.Join(g.Ports, ","), []probe.Proto{probe.TCP}, servicePort)
		if err != nil {
			return nil, err
		}
		for _, p := range more {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// querying is one run of query.
type querying struct {
	*queryFlags
	names  services
	out    *bufio.Writer
	stderr io.Writer
	text   render.Query
	csvOut *render.CSV[*probe.Result]
	b      []byte
}

// targets crosses the hosts of a list with places.
func (q *querying) targets(ctx context.Context, list string, places []servicePlace) ([]probe.Target, error) {
	hosts, err := q.hosts(ctx, list)
	if err != nil {
		return nil, err
	}
	limit := q.limit()
	if len(hosts) == 1 && len(hosts[0].Addrs) == 1 {
		limit = -1 // all ports of one address are no scan of a network
	}
	seq, err := probe.Targets(hosts, q.ports(places), limit)
	if err != nil {
		return nil, tooMany(err)
	}
	seen := map[probe.Target]bool{}
	var targets []probe.Target
	for t := range seq {
		if !seen[t] {
			seen[t] = true
			targets = append(targets, t)
		}
	}
	q.text.Hosts = len(hosts) > 1 || len(hosts[0].Addrs) > 1
	return targets, nil
}

// ports gives places the service that picks their question.
func (q *querying) ports(places []servicePlace) (ports []probe.Port) {
	for _, p := range places {
		ports = append(ports, probe.Port{Proto: p.proto, Port: p.port, Name: cmp.Or(q.as, q.names.name(p.proto, p.port))})
	}
	return ports
}

// limit is how many targets may be tested; -1 is any number.
func (q *querying) limit() int {
	if q.many {
		return -1
	}
	return probe.MaxTargets
}

// hosts finds the addresses that a list of hosts names.
func (q *querying) hosts(ctx context.Context, list string) ([]probe.Host, error) {
	if slices.Contains(strings.Split(list, ","), "") {
		return nil, usagef("query: a host is missing in %q", list)
	}
	hosts, err := probe.Resolve(ctx, family{q.four, q.six}, list, q.limit())
	return hosts, tooMany(err)
}

// tooMany tells how to have more, and whose leave it needs.
func tooMany(err error) error {
	var many *probe.TooManyError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &many):
		return usagef("query: %d tests or more: above %d they need --many. Test what is yours, or what you have leave to test", many.Count, many.Limit)
	}
	return fmt.Errorf("query: %w", err)
}

// family looks names up in one address family, or both.
type family struct{ four, six bool }

func (f family) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	switch {
	case f.four:
		network = "ip4"
	case f.six:
		network = "ip6"
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, name)
	return addrs, dnsCause(err)
}

// once tests targets and prints the results: as they come in JSON and CSV, in
// the order asked for as text.
func (q *querying) once(ctx context.Context, targets []probe.Target) error {
	results, err := q.test(ctx, targets, q.json || q.csv)
	if err != nil {
		return err
	}
	if q.follow {
		more, err := q.test(ctx, q.dynamic(results), q.json || q.csv)
		if err != nil {
			return err
		}
		results = append(results, more...)
	}
	if !q.json && !q.csv {
		q.b = q.text.AppendResults(q.b[:0], results)
		q.out.Write(q.b)
	}
	return quietPipe(q.out.Flush())
}

// test runs targets, and prints each result at once if asked to. The results are
// in the order of the targets.
func (q *querying) test(ctx context.Context, targets []probe.Target, print bool) ([]probe.Result, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	place := make(map[probe.Target]int, len(targets))
	for i, t := range targets {
		place[t] = i
	}
	results := make([]probe.Result, len(targets))
	done := 0
	progress := newProgress(q.stderr, "tested")
	defer progress.done()
	err := q.engine(ctx, targets, func(r probe.Result) error {
		if i, ok := place[r.Target]; ok {
			results[i] = r
		}
		done++
		progress.say(fmt.Sprintf("%d of %s", done, count(len(targets), "port")))
		if print {
			return q.print(&r)
		}
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("query: %w", err)
	}
	return results, nil
}

// print writes a result as JSON or CSV, out of the buffer at once: whoever reads
// it may wait for it.
func (q *querying) print(r *probe.Result) error {
	q.b = q.b[:0]
	switch {
	case q.json:
		q.b = render.AppendResultJSON(q.b, r)
	case q.csvOut == nil:
		q.csvOut = render.ResultCSV(q.text.Options)
		q.b = q.csvOut.AppendHeader(q.b)
		fallthrough
	default:
		q.b = q.csvOut.Append(q.b, r)
	}
	if _, err := q.out.Write(q.b); err != nil {
		return err
	}
	return q.out.Flush()
}

// dynamic are the TCP ports that endpoint mappers among results name, each once.
func (q *querying) dynamic(results []probe.Result) (targets []probe.Target) {
	seen := map[netip.AddrPort]bool{}
	for _, r := range results {
		seen[netip.AddrPortFrom(r.Target.Addr, r.Target.Port)] = seen[netip.AddrPortFrom(r.Target.Addr, r.Target.Port)] || r.Target.Proto == probe.TCP
	}
	for _, r := range results {
		for _, port := range mapped(r.Answer) {
			at := netip.AddrPortFrom(r.Target.Addr, port)
			if !seen[at] {
				seen[at] = true
				targets = append(targets, probe.Target{Host: r.Target.Host, Addr: r.Target.Addr, Proto: probe.TCP, Port: port, Service: q.names.name(probe.TCP, port)})
			}
		}
	}
	return targets
}
