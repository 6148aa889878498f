package cli

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/portreporter/portreporter/internal/probe"
)

// parsePorts reads ports as people list them: "22,80-90,udp/53,both/389,https",
// a name being one of the services file. Without a word before it a port is of
// usual. The same port twice is tested once.
func parsePorts(text string, usual []probe.Proto, lookup func(string) (uint16, bool)) (places []servicePlace, err error) {
	for _, word := range strings.Split(text, ",") {
		protos, name := usual, strings.TrimSpace(word)
		if p, rest, ok := strings.Cut(name, "/"); ok {
			if protos, err = portProtos(p, rest); err != nil {
				return nil, err
			}
			name = rest
			if _, isNumber := strconv.Atoi(p); isNumber == nil { // "53/udp", as in services files
				name = p
			}
		}
		from, to, err := portRange(name, lookup)
		if err != nil {
			return nil, err
		}
		for port := int(from); port <= int(to); port++ {
			for _, proto := range protos {
				places = append(places, servicePlace{proto, uint16(port)})
			}
		}
	}
	seen := map[servicePlace]bool{}
	return slices.DeleteFunc(places, func(p servicePlace) bool {
		twice := seen[p]
		seen[p] = true
		return twice
	}), nil
}

func portProtos(before, after string) ([]probe.Proto, error) {
	for _, word := range []string{before, after} {
		switch strings.ToLower(word) {
		case "tcp":
			return []probe.Proto{probe.TCP}, nil
		case "udp":
			return []probe.Proto{probe.UDP}, nil
		case "both":
			return []probe.Proto{probe.TCP, probe.UDP}, nil
		}
	}
	return nil, fmt.Errorf("bad port %q: tcp/, udp/ or both/ stands before it", before+"/"+after)
}

func portRange(name string, lookup func(string) (uint16, bool)) (from, to uint16, err error) {
	if strings.Trim(name, "0123456789-") != "" { // a number has no need of the services file, which is read anew for each
		if p, ok := lookup(name); ok {
			return p, p, nil
		}
	}
	first, last, isRange := strings.Cut(name, "-")
	a, err := portNumber(first)
	if err != nil {
		return 0, 0, fmt.Errorf("bad port %q: a number, a range or a name of the services file", name)
	}
	if !isRange {
		return uint16(a), uint16(a), nil
	}
	b, err := portNumber(last)
	if err != nil || a > b {
		return 0, 0, fmt.Errorf("bad range %q: FROM-TO, the lower port first", name)
	}
	return uint16(a), uint16(b), nil
}

// group is a named list of ports.
type group struct {
	Name  string
	Title string
	Ports []string
}

//go:embed groups.toml
var ourGroups []byte

// readGroups returns our groups and those of a file, which take the place of
// ours of the same name. "" is no file.
func readGroups(path string) ([]group, error) {
	all, err := parseGroups("groups.toml", ourGroups)
	if err != nil || path == "" {
		return all, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("groups: %w", err)
	}
	own, err := parseGroups(path, text)
	if err != nil {
		return nil, err
	}
	for _, g := range own {
		all = slices.DeleteFunc(all, func(o group) bool { return o.Name == g.Name })
	}
	return append(all, own...), nil
}

// parseGroups reads a file of groups, and names the place of what is wrong in it.
func parseGroups(path string, text []byte) ([]group, error) {
	var file struct{ Group []group }
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		var unknown *toml.StrictMissingError
		if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
			line, _ := unknown.Errors[0].Position()
			key := strings.Join(unknown.Errors[0].Key(), ".")
			return nil, fmt.Errorf("%s:%d: unknown key %q%s", path, line, key, didYouMean(key, "", []string{"group", "group.name", "group.title", "group.ports"}))
		}
		var wrong *toml.DecodeError
		if errors.As(err, &wrong) {
			line, col := wrong.Position()
			return nil, fmt.Errorf("%s:%d:%d: %w", path, line, col, err)
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i, g := range file.Group {
		if g.Name == "" || len(g.Ports) == 0 {
			return nil, fmt.Errorf("%s: group %d has no name or no ports", path, i+1)
		}
		if slices.ContainsFunc(file.Group[:i], func(o group) bool { return o.Name == g.Name }) {
			return nil, fmt.Errorf("%s: group %q stands twice", path, g.Name)
		}
		if _, err := parsePorts(strings.Join(g.Ports, ","), []probe.Proto{probe.TCP}, servicePort); err != nil {
			return nil, fmt.Errorf("%s: group %q: %w", path, g.Name, err)
		}
	}
	return file.Group, nil
}

// findGroup finds a group by its name or title, in any case.
func findGroup(all []group, name string) (group, error) {
	var names []string
	for _, g := range all {
		if strings.EqualFold(g.Name, name) || strings.EqualFold(g.Title, name) {
			return g, nil
		}
		names = append(names, g.Name)
	}
	return group{}, fmt.Errorf("unknown group %q%s", name, didYouMean(name, "", names))
}

// expectation is what a port is wanted to be.
type expectation struct {
	line    int
	host    string
	place   servicePlace
	verdict probe.Verdict
}

// verdictWords are the verdicts as files and scripts write them.
func verdictWords() map[string]probe.Verdict {
	return map[string]probe.Verdict{"listening": probe.Listening, "not-listening": probe.NotListening,
		"filtered": probe.Filtered, "listening-or-filtered": probe.ListeningOrFiltered}
}

// parseExpect reads what is expected: a line a host, its ports and a verdict.
//
//	# what the firewall is to let through
//	web1.example.com  80,443      listening
//	10.0.0.7          tcp/23      filtered
func parseExpect(path string, text []byte, lookup func(string) (uint16, bool)) (all []expectation, err error) {
	for n, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) != 3 {
			return nil, fmt.Errorf("%s:%d: want HOST PORTS VERDICT, got %q", path, n+1, strings.TrimSpace(line))
		}
		places, err := parsePorts(f[1], []probe.Proto{probe.TCP}, lookup)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n+1, err)
		}
		v, ok := verdictWords()[strings.ToLower(f[2])]
		if !ok {
			words := []string{"listening", "not-listening", "filtered", "listening-or-filtered"}
			return nil, fmt.Errorf("%s:%d: unknown verdict %q: one of %s%s", path, n+1, f[2], strings.Join(words, ", "), didYouMean(f[2], "", words))
		}
		for _, p := range places {
			all = append(all, expectation{n + 1, f[0], p, v})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: nothing is expected in it", path)
	}
	return all, nil
}
