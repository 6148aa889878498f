package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/all"
)

// watchChanges tests again and again, and prints what became another.
func (q *querying) watchChanges(ctx context.Context, targets []probe.Target) error {
	last := map[probe.Target]probe.Result{}
	for {
		results, err := q.test(ctx, targets, false)
		if err != nil {
			if ctx.Err() != nil { // that is how it ends
				return nil
			}
			return err
		}
		for i := range results {
			r := &results[i]
			before, known := last[r.Target]
			last[r.Target] = *r
			if known && before.Verdict == r.Verdict && before.Evidence.Sign == r.Evidence.Sign {
				continue
			}
			if err := q.printChange(r, &before, known); err != nil {
				return quietPipe(err)
			}
		}
		if err := q.out.Flush(); err != nil {
			return quietPipe(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(q.watch):
		}
	}
}

func (q *querying) printChange(r, before *probe.Result, known bool) error {
	if q.json || q.csv {
		return q.print(r)
	}
	if !known {
		before = nil
	}
	q.b = q.text.AppendChange(q.b[:0], r, before)
	_, err := q.out.Write(q.b)
	return err
}

// expected tests what a file expects, prints what differs, and fails if
// anything does.
func (q *querying) expected(ctx context.Context) error {
	text, err := os.ReadFile(q.expect)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	want, err := parseExpect(q.expect, text, servicePort)
	if err != nil {
		return usagef("query: %w", err)
	}
	var targets []probe.Target
	wanted := map[probe.Target]expectation{}
	for _, e := range want {
		hosts, err := q.hosts(ctx, e.host)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", q.expect, e.line, err)
		}
		seq, err := probe.Targets(hosts, q.ports([]servicePlace{e.place}), q.limit())
		if err != nil {
			return tooMany(err)
		}
		for t := range seq {
			before, twice := wanted[t]
			if twice && before.verdict != e.verdict {
				return usagef("query: %s:%d: %s is expected to be something else in line %d", q.expect, e.line, e.host, before.line)
			}
			if wanted[t] = e; !twice {
				targets = append(targets, t)
			}
		}
	}
	if len(targets) > probe.MaxTargets && !q.many {
		return tooMany(&probe.TooManyError{Count: uint64(len(targets)), Limit: probe.MaxTargets})
	}
	results, err := q.test(ctx, targets, q.json || q.csv)
	if err != nil {
		return err
	}
	differ := 0
	for i := range results {
		r := &results[i]
		e := wanted[r.Target]
		if r.Verdict == e.verdict {
			continue
		}
		differ++
		if !q.json && !q.csv {
			q.b = q.text.AppendDifference(q.b[:0], r, e.verdict, q.expect+":"+strconv.Itoa(e.line))
			q.out.Write(q.b)
		}
	}
	if err := q.out.Flush(); err != nil {
		return quietPipe(err)
	}
	if differ > 0 {
		return fmt.Errorf("query: %d of %s are not as expected", differ, count(len(results), "port"))
	}
	return nil
}

// mapped are the TCP ports that an endpoint mapper's answer names: the bindings
// "ncacn_ip_tcp:192.0.2.1[49664]".
func mapped(a *probe.Answer) (ports []uint16) {
	if a == nil || a.Protocol != "rpc" {
		return nil
	}
	for _, f := range a.Fields {
		if f.Name != "binding" || !strings.HasPrefix(f.Values[0], "ncacn_ip_tcp:") {
			continue
		}
		_, rest, _ := strings.Cut(f.Values[0], "[")
		number, _, ok := strings.Cut(rest, "]")
		if p, err := strconv.ParseUint(number, 10, 16); ok && err == nil && p > 0 {
			ports = append(ports, uint16(p))
		}
	}
	return ports
}

// groupsFile is where one's own groups stand, "" where nothing is configured.
func groupsFile() string {
	config := defaultPaths(os.Getenv).config
	if config == "" {
		return ""
	}
	return strings.TrimSuffix(config, "config.toml") + "groups.toml"
}

// engine tests targets over the network and gives each result to each as it
// comes. The first error of each ends it.
func (q *querying) engine(ctx context.Context, targets []probe.Target, each func(probe.Result) error) error {
	r := probe.Runner{Guess: true, TCPTries: q.tries, UDPTries: q.tries, Wait: q.wait, Rate: q.rate, SourcePort: uint16(q.sourcePort)}
	if !q.verdictOnly {
		r.Probers = probers("")
	}
	if q.as != "" {
		known := false
		for _, p := range r.Probers {
			known = known || p.Protocol() == q.as
		}
		if !known {
			return unknownProtocol(q.as, r.Probers)
		}
		r.Guess = false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failed error
	err := r.Run(ctx, slices.Values(targets), func(r probe.Result) {
		if failed == nil {
			if failed = each(r); failed != nil {
				cancel()
			}
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

// unknownProtocol names the nearest protocol that can be asked.
func unknownProtocol(name string, probers []probe.Prober) error {
	var names []string
	for _, p := range probers {
		names = append(names, p.Protocol())
	}
	slices.Sort(names)
	return fmt.Errorf("unknown protocol %q%s; one of %s", name, didYouMean(name, "", names), strings.Join(slices.Compact(names), ", "))
}

// protocolOf is the protocol that a target's service name stands for, "" unknown.
func protocolOf(t probe.Target) string {
	for _, p := range all.Probers() {
		for _, o := range p.Ports() {
			if o.Proto == t.Proto && o.Name == t.Service {
				return p.Protocol()
			}
		}
	}
	return ""
}
