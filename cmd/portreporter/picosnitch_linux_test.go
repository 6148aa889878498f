package main

import (
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// TestPeerScenarios makes again the scenarios by which picosnitch 2.2 publishes
// its accuracy (github.com/elesiuta/picosnitch, bench/), as far as they have a
// port, and those that it cannot see: it hooks the transfer of data, so that a
// port that is only opened, and a connection that fails or carries nothing, leave
// no trace. Each is one or more of the generator's cases, or its other commands.
func TestPeerScenarios(t *testing.T) {
	r := startRecorder(t)
	for _, c := range []struct {
		name string
		args string // of portgen
		want []activity.Kind
	}{
		{"processes of one connection, in sequence", "procs 20", kinds("connect accept close")},
		{"processes of one connection, in parallel", "-parallel 30 procs 60", kinds("connect accept close")},
		{"many connections of one process", "-data 100 tcp 60", kinds("connect accept close")},
		{"one large transfer each way", "case large", kinds("connect accept close")},
		{"UDP, connected and not", "case udp,udp-connected,udp-two-remotes", kinds("bind flow flow-end unbind")},
		{"UDP sockets of one datagram", "udp 60", kinds("bind flow flow-end unbind")},
		{"IPv6", "case ipv6,mapped,udp-ipv6,udp-mapped", kinds("connect accept close flow")},
		{"another network namespace", "case two-namespaces", kinds("connect accept close")},
		{"children that fork, and do not execute", "case fork-without-exec,prefork,accept-then-fork", kinds("connect accept close")},
		{"another program in the same process", "case exec-after-connect", kinds("connect accept close")},
		{"descriptors passed on", "case scm-rights,socket-activation,inetd,shared-connection", kinds("accept close")},
		{"threads", "case thread", kinds("connect accept close")},
		{"a program that is deleted", "case deleted-executable", kinds("connect close")},
		{"a program in memory only", "case memfd-executable", kinds("connect close")},
		{"a process that is killed", "case kill-9", kinds("connect close")},
		{"half-closed, and reset", "case half-close,shutdown,reset", kinds("close")},
		{"io_uring", "case io-uring", kinds("connect accept close")},

		{"unseen there: listening", "case listen-close", kinds("listen unlisten")},
		{"unseen there: UDP ports", "case udp-bind", kinds("bind unbind")},
		{"unseen there: connections without data", "tcp 60", kinds("connect accept close")},
		{"unseen there: refused", "case refused,refused-ipv6,refused-then-connected", kinds("connect-failed")},
		{"unseen there: timed out", "case timed-out", kinds("connect-failed")},
		{"unseen there: unreachable", "case host-unreachable,net-unreachable", kinds("connect-failed")},
		{"unseen there: denied", "case denied", kinds("connect-failed")},
		{"unseen there: a port that is taken", "case bind-conflict,bind-conflict-udp", kinds("bind-failed")},
		{"unseen there: a port that one may not have", "case bind-denied,bind-no-such-address", kinds("bind-failed")},
		{"unseen there: never accepted", "case never-accepted", kinds("connect close")},
		{"unseen there: a closed UDP port", "case udp-knock", kinds("knock")},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := generate(t, strings.Fields(c.args)...)
			r.settled(log)
			rep := r.verify(log)
			if err := rep.Err(); err != nil {
				t.Errorf("%v\n%s", err, rep)
			}
			for _, k := range c.want {
				if n := rep.Kind(k); n.Made == 0 && n.May == 0 && !skipped(log) {
					t.Errorf("the scenario made no %s", k)
				}
			}
		})
	}
}

// kinds is a list of kinds by their words.
func kinds(words string) (all []activity.Kind) {
	for _, w := range strings.Fields(words) {
		k, err := activity.ParseKind(w)
		if err != nil {
			panic(err)
		}
		all = append(all, k)
	}
	return all
}

// skipped reports whether this kernel has not what the scenario takes.
func skipped(log *truth.Log) bool { return len(log.Skips) > 0 }
