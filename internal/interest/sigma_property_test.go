package interest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
)

// sigmaQuestion is a group of a Sigma rule beside a naive answer to it, made
// together and sharing nothing with the package: texts by way of regular
// expressions, and fields by way of a map.
type sigmaQuestion struct {
	yaml string
	ask  func(fields map[string][]string) bool
}

// sysmon gives the fields of an event as Sysmon writes them; a field without a
// value is absent.
func sysmon(e *activity.Event, names func(netip.Addr) []string) map[string][]string {
	m := map[string][]string{"Protocol": {e.Proto.String()}, "Initiated": {"true"}, "EventID": {"3"}}
	source, destination := e.Local, e.Remote
	if e.Kind == activity.KindAccept || e.Flags&activity.FlagInbound != 0 || e.Role == activity.RoleAcceptor || e.Role == activity.RoleListener {
		m["Initiated"] = []string{"false"}
		source, destination = destination, source
	}
	for side, end := range map[string]netip.AddrPort{"Source": source, "Destination": destination} {
		if !end.IsValid() {
			continue
		}
		m[side+"Ip"], m[side+"Port"] = []string{end.Addr().String()}, []string{strconv.Itoa(int(end.Port()))}
		if n := names(end.Addr()); n != nil {
			m[side+"Hostname"] = n
		}
	}
	if p := e.Process; p != nil {
		for field, v := range map[string]string{"Image": p.Exe, "User": p.User, "CommandLine": strings.Join(p.Args, " ")} {
			if v != "" {
				m[field] = []string{v}
			}
		}
	}
	return m
}

// wildcard is a Sigma text by way of a regular expression; ours have no
// backslash before a wildcard.
func wildcard(text, mod string) *regexp.Regexp {
	expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(text))
	switch mod {
	case "|contains":
		expr = ".*" + expr + ".*"
	case "|startswith":
		expr += ".*"
	case "|endswith":
		expr = ".*" + expr
	}
	return regexp.MustCompile("^(?is:" + expr + ")$")
}

// sigmaValues are what the world's events have, and pieces of it.
func sigmaValues(field string) []string {
	switch field {
	case "Image":
		return []string{`/usr/sbin/sshd`, `\svchost.exe`, `C:\Windows\`, "/bash", "*sbin*", "s?hd", ""}
	case "CommandLine":
		return []string{"x -i", "-i", "x", "*"}
	case "User":
		return []string{"root", "ROOT", "www"}
	case "DestinationPort", "SourcePort":
		return []string{"22", "80", "443", "4", "*44*"}
	case "DestinationIp", "SourceIp":
		return []string{"10.0.0.1", "203.0.113.", "::1", "2001:*", "127.0.0.1"}
	case "Initiated":
		return []string{"true", "false"}
	case "Protocol":
		return []string{"tcp", "udp"}
	}
	return []string{"evil.example", "evil", ".example"}
}

func randomTest(r *rand.Rand) sigmaQuestion {
	field := pick(r, "Image", "CommandLine", "User", "DestinationPort", "SourcePort", "DestinationIp", "SourceIp", "Initiated", "Protocol", "DestinationHostname")
	if r.IntN(8) == 0 && strings.HasSuffix(field, "Ip") {
		net := pick(r, "10.0.0.0/8", "203.0.113.0/24", "2001:db8::/32", "0.0.0.0/0")
		prefix := netip.MustParsePrefix(net)
		return sigmaQuestion{fmt.Sprintf("%s|cidr: '%s'", field, net), func(m map[string][]string) bool {
			return m[field] != nil && prefix.Contains(netip.MustParseAddr(m[field][0]))
		}}
	}
	if r.IntN(12) == 0 {
		return sigmaQuestion{field + ": null", func(m map[string][]string) bool { return m[field] == nil }}
	}
	mod, all := pick(r, "", "", "|contains", "|startswith", "|endswith"), ""
	if r.IntN(4) == 0 {
		all = "|all"
	}
	var texts, quoted []string
	for range 1 + r.IntN(3) {
		text := pick(r, sigmaValues(field)...)
		texts, quoted = append(texts, text), append(quoted, "'"+text+"'")
	}
	return sigmaQuestion{fmt.Sprintf("%s%s%s: [%s]", field, mod, all, strings.Join(quoted, ", ")), func(m map[string][]string) bool {
		values, absent := m[field], false
		if values == nil {
			values, absent = []string{""}, true
		}
		for _, v := range values {
			hits := 0
			for _, text := range texts {
				// What has no value is only like the empty text itself.
				if !absent && wildcard(text, mod).MatchString(v) || absent && text == "" && mod == "" {
					hits++
				}
			}
			if hits == len(texts) || hits > 0 && all == "" {
				return true
			}
		}
		return false
	}}
}

// randomGroup is a map, all of whose tests must hold, or a list of maps.
func randomGroup(r *rand.Rand) sigmaQuestion {
	var tests []sigmaQuestion
	used := map[string]bool{}
	for range 1 + r.IntN(3) {
		q := randomTest(r)
		if key, _, _ := strings.Cut(q.yaml, ":"); !used[key] { // YAML has each key once
			used[key] = true
			tests = append(tests, q)
		}
	}
	any := r.IntN(3) == 0
	var b strings.Builder
	for _, q := range tests {
		if any {
			b.WriteString("  - " + q.yaml + "\n")
		} else {
			b.WriteString("  " + q.yaml + "\n")
		}
	}
	return sigmaQuestion{b.String(), func(m map[string][]string) bool {
		for _, q := range tests {
			if q.ask(m) == any {
				return any
			}
		}
		return !any
	}}
}

// randomCondition combines the groups by name, each only as it was defined.
func randomCondition(r *rand.Rand, groups []sigmaQuestion, depth int) sigmaQuestion {
	if depth == 0 || r.IntN(3) == 0 {
		i := r.IntN(len(groups))
		return sigmaQuestion{fmt.Sprint("g", i), groups[i].ask}
	}
	switch a, b := randomCondition(r, groups, depth-1), randomCondition(r, groups, depth-1); r.IntN(5) {
	case 0:
		return sigmaQuestion{"not (" + a.yaml + ")", func(m map[string][]string) bool { return !a.ask(m) }}
	case 1:
		return sigmaQuestion{"(" + a.yaml + ") and (" + b.yaml + ")", func(m map[string][]string) bool { return a.ask(m) && b.ask(m) }}
	case 2:
		return sigmaQuestion{"(" + a.yaml + ") or " + b.yaml, func(m map[string][]string) bool { return a.ask(m) || b.ask(m) }}
	case 3:
		return sigmaQuestion{"1 of g*", func(m map[string][]string) bool {
			for _, g := range groups {
				if g.ask(m) {
					return true
				}
			}
			return false
		}}
	}
	return sigmaQuestion{"all of them", func(m map[string][]string) bool {
		for _, g := range groups {
			if !g.ask(m) {
				return false
			}
		}
		return true
	}}
}

// TestSigmaAgreesWithNaive: random rules find what the naive answer says, by
// way of the index, of events that Sysmon would tell of, and of no other.
func TestSigmaAgreesWithNaive(t *testing.T) {
	hits, asked := 0, 0
	for seed := range uint64(400) {
		w := newWorld(rand.New(rand.NewPCG(seed, 77)))
		opt := w.options()
		var groups []sigmaQuestion
		var detection strings.Builder
		for i := range 1 + w.r.IntN(3) {
			groups = append(groups, randomGroup(w.r))
			fmt.Fprintf(&detection, "g%d:\n%s", i, groups[i].yaml)
		}
		condition := randomCondition(w.r, groups, 3)
		fmt.Fprintf(&detection, "condition: %s", condition.yaml)
		m := sigmaSet(t, detection.String(), opt).Matcher()
		for range 60 {
			e := w.event()
			told := e.Kind == activity.KindConnect || e.Kind == activity.KindAccept || e.Kind == activity.KindFlow
			ask := *e // a stub of a lost record has nothing to ask
			if p := ask.Process; p != nil && p.Name == "" && p.Exe == "" && p.Key.IsZero() {
				ask.Process = nil
			}
			want := told && condition.ask(sysmon(&ask, opt.Names))
			got := len(m.Event(e, nil)) == 1
			if got != want {
				t.Fatalf("seed %d: %v, want %v: %s\nof %+v\n%+v", seed, got, want, detection.String(), sysmon(&ask, opt.Names), e.Process)
			}
			if asked++; got {
				hits++
			}
		}
	}
	if hits < asked/50 {
		t.Errorf("only %d of %d events match: the test says little", hits, asked)
	}
}
