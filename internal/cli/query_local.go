package cli

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/render"
)

// maxOwnAddresses is how many of this machine's addresses are scanned for ports
// that nobody here is known to have open.
const maxOwnAddresses = 16

// local tests every port that is open here, from loopback and from each of this
// machine's own addresses, looks for ports that answer and that nobody has open,
// and says what does not fit.
func (q *querying) local(ctx context.Context, cmd *cobra.Command) error {
	cfg, err := loadReaderConfig(cmd)
	if err != nil {
		return err
	}
	socks, err := openSockets(ctx, cfg, false, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	own, err := ownAddresses()
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	open := openHere(socks, ownNetNS())
	targets := q.localTargets(open, own)
	scan := q.scanTargets(targets, own)
	results, err := q.test(ctx, append(targets, scan...), false)
	if err != nil {
		return err
	}
	found := q.compare(open, results, len(targets))
	for i := range found {
		switch {
		case q.json:
			q.b = render.AppendLocalJSON(q.b[:0], &found[i])
			q.out.Write(q.b)
		case q.csv:
			if err := q.print(&found[i].Result); err != nil {
				return quietPipe(err)
			}
		}
	}
	if !q.json && !q.csv {
		q.b = q.text.AppendLocal(q.b[:0], found)
		q.out.Write(q.b)
	}
	return quietPipe(q.out.Flush())
}

// openHere are the ports that are open in a network namespace; 0 is any. UDP
// sockets with a remote end are clients' and listen to that one only.
func openHere(socks []*activity.Socket, netns uint32) (open []*activity.Socket) {
	for _, s := range socks {
		if holdsPort(s) && s.Local.Port() != 0 && (netns == 0 || s.NetNS == netns) && (s.Proto == activity.TCP || s.Remote.Port() == 0) {
			open = append(open, s)
		}
	}
	return open
}

// ownAddresses are this machine's, loopback first.
func ownAddresses() (all []netip.Addr, err error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			addr := p.Addr().Unmap()
			if addr.IsLinkLocalUnicast() && addr.Is6() {
				addr = addr.WithZone(i.Name)
			}
			all = append(all, addr)
		}
	}
	slices.SortStableFunc(all, func(a, b netip.Addr) int {
		switch la, lb := a.IsLoopback(), b.IsLoopback(); {
		case la && !lb:
			return -1
		case lb && !la:
			return 1
		}
		return 0
	})
	return all, nil
}

// localTargets are the addresses at which the open ports should answer.
func (q *querying) localTargets(open []*activity.Socket, own []netip.Addr) (targets []probe.Target) {
	seen := map[probe.Target]bool{}
	for _, s := range open {
		for _, a := range own {
			if !serves(s, a) {
				continue
			}
			t := q.target(a, servicePlace{probe.Proto(s.Proto), s.Local.Port()})
			if !seen[t] {
				seen[t] = true
				targets = append(targets, t)
			}
		}
	}
	return targets
}

func (q *querying) target(a netip.Addr, p servicePlace) probe.Target {
	return probe.Target{Addr: a, Proto: p.proto, Port: p.port, Service: q.names.name(p.proto, p.port)}
}

// serves reports whether a socket is to be met at an address.
func serves(s *activity.Socket, a netip.Addr) bool {
	l := s.Local.Addr()
	return l == a || l.WithZone("") == a.WithZone("") || l.IsUnspecified() && (l.Is6() || a.Is4())
}

// scanTargets are all other TCP ports of the machine's addresses.
func (q *querying) scanTargets(known []probe.Target, own []netip.Addr) (targets []probe.Target) {
	seen := map[netip.AddrPort]bool{}
	for _, t := range known {
		if t.Proto == probe.TCP {
			seen[netip.AddrPortFrom(t.Addr, t.Port)] = true
		}
	}
	for _, a := range own[:min(len(own), maxOwnAddresses)] {
		for port := 1; port <= 65535; port++ {
			if !seen[netip.AddrPortFrom(a, uint16(port))] {
				targets = append(targets, q.target(a, servicePlace{probe.TCP, uint16(port)}))
			}
		}
	}
	return targets
}

// compare says of each open port whether it is what the record says. The first
// n results are those of the open ports.
func (q *querying) compare(open []*activity.Socket, results []probe.Result, n int) (found []render.LocalResult) {
	for i := range results {
		r := &results[i]
		l := render.LocalResult{Result: *r}
		if i >= n {
			if r.Verdict != probe.Listening {
				continue
			}
			l.Note = "nobody here is known to have it open: a port forwarder (docker-proxy, NAT), another namespace, or it has just been opened"
			found = append(found, l)
			continue
		}
		for _, s := range open {
			if probe.Proto(s.Proto) == r.Target.Proto && s.Local.Port() == r.Target.Port && serves(s, r.Target.Addr) {
				l.Socket = s
				break
			}
		}
		l.Note = mismatch(r, l.Socket)
		found = append(found, l)
	}
	return found
}

// mismatch says what does not fit together, "" nothing.
func mismatch(r *probe.Result, s *activity.Socket) string {
	either := s != nil && s.Local.Addr().Is6() && s.Local.Addr().IsUnspecified() && r.Target.Addr.Is4() // perhaps IPV6_V6ONLY
	switch {
	case r.Target.Proto == probe.TCP && r.Verdict == probe.NotListening && either:
		return ""
	case r.Target.Proto == probe.TCP && r.Verdict != probe.Listening, r.Target.Proto == probe.UDP && r.Verdict == probe.NotListening, r.Verdict == probe.Filtered:
		return "open, but not reachable from here"
	case r.Answer != nil && r.Answer.Protocol != "" && r.Target.Service != "":
		if want := protocolOf(r.Target); want != "" && want != r.Answer.Protocol && !slices.Contains(strings.Split(r.Answer.Protocol, "/"), want) {
			return fmt.Sprintf("it speaks %s, not %s", r.Answer.Protocol, want)
		}
	}
	return ""
}
