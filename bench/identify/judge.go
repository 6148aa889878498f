package identify

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// truth is what is so of one port, as its server's own side knows it.
type truth struct {
	protocol string   // its names with the tools, ours first
	facts    []string // what it tells strangers: each in one of the wordings, parted by |
	untrue   []string // what a tool may say and is not so
	mute     bool     // by design it answers nobody who asks like this
}

// said is what a tool told of a port.
type said struct {
	absent   bool   // nothing is there, it says
	protocol string // "" it recognised none
	text     string // all of it
}

// mark is how right a tool is, from the least.
type mark int

const (
	wrong mark = iota
	silent
	less
	right
)

func (m mark) String() string { return [...]string{"WRONG", "silent", "less", "right"}[m] }

// judge compares what was said with the truth, and returns the facts that are
// missing. A truth without a protocol is one of facts alone.
func judge(t truth, s said) (m mark, missing []string) {
	for _, f := range t.facts {
		if !tells(s.text, f) {
			missing = append(missing, f)
		}
	}
	known := t.protocol == "" || contains(strings.Fields(t.protocol), s.protocol)
	switch {
	case s.absent || anyTold(s.text, t.untrue):
		return wrong, missing
	case t.protocol == "" && len(missing) == len(t.facts) || t.protocol != "" && s.protocol == "":
		return silent, missing
	case !known:
		return wrong, missing
	case len(missing) > 0:
		return less, missing
	}
	return right, nil
}

// lessRight says whether ours is less right than the other: by its mark, or by a
// fact that the other told.
func lessRight(t truth, ours, other said) bool {
	a, missing := judge(t, ours)
	b, _ := judge(t, other)
	for _, f := range missing {
		if tells(other.text, f) {
			return true
		}
	}
	return a < b
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if strings.EqualFold(e, s) {
			return true
		}
	}
	return false
}

// tells says whether a text has one of the wordings of a fact.
func tells(text, fact string) bool { return anyTold(text, strings.Split(fact, "|")) }

func anyTold(text string, words []string) bool {
	text = strings.ToLower(text)
	for _, w := range words {
		if strings.Contains(text, strings.ToLower(w)) {
			return true
		}
	}
	return false
}

// whole is the port that stands for the host in a table of what was said.
const whole = "host"

// readOurs reads JSON Lines of `portreporter query`, by "22/tcp" and whole.
func readOurs(out []byte) (map[string]said, error) {
	all := map[string]said{}
	var host strings.Builder
	for line := range strings.Lines(string(out)) {
		var r struct {
			Port    int
			Proto   string
			Verdict string
			Answer  struct {
				Protocol, Summary string
				Fields            []struct {
					Name   string
					Values []string
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, fmt.Errorf("read %.80q: %w", line, err)
		}
		s := said{absent: r.Verdict == "not-listening", protocol: r.Answer.Protocol, text: r.Answer.Summary}
		for _, f := range r.Answer.Fields {
			s.text += "; " + f.Name + " " + strings.Join(f.Values, ", ")
		}
		all[strconv.Itoa(r.Port)+"/"+r.Proto] = s
		host.WriteString(s.text + "; ")
	}
	all[whole] = said{text: host.String()}
	return all, nil
}

// readTable reads a table of ports as people read it: a line a port, with its
// state, the service, where a ? stands behind a guess by the number alone, and
// what is known of it; and a line about the host. Service names of what is within
// another stand behind a slash: "ssl/ldap".
func readTable(out []byte) map[string]said {
	port := regexp.MustCompile(`^([0-9]+/(?:tcp|udp)) +(\S+) +(\S+) *(.*)$`)
	all := map[string]said{whole: {}}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\r\n")
		if host, ok := strings.CutPrefix(line, "Service Info: "); ok {
			all[whole] = said{text: host}
		}
		f := port.FindStringSubmatch(line)
		if f == nil {
			continue
		}
		s := said{absent: f[2] == "closed"}
		if service := f[3]; f[2] == "open" && !strings.HasSuffix(service, "?") && service != "unknown" && service != "tcpwrapped" {
			s.protocol, s.text = service[strings.LastIndexByte(service, '/')+1:], service+" "+f[4]
		}
		all[f[1]] = s
	}
	return all
}
