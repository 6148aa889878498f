package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
)

// servicePort looks a name up in the machine's services file (services(5)).
func servicePort(name string) (uint16, bool) {
	f, err := os.Open(servicesFile())
	if err != nil {
		return 0, false
	}
	defer f.Close()
	return findService(f, name)
}

func findService(r io.Reader, name string) (port uint16, found bool) {
	eachService(r, func(p uint16, _ string, names []string) bool {
		for _, n := range names {
			if n == name {
				port, found = p, true
			}
		}
		return !found
	})
	return port, found
}

// eachService yields the lines of a services file: a port, its protocol's word,
// and its names, the official one first.
func eachService(r io.Reader, yield func(port uint16, proto string, names []string) bool) {
	for sc := bufio.NewScanner(io.LimitReader(r, 4<<20)); sc.Scan(); {
		line, _, _ := strings.Cut(sc.Text(), "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		port, proto, _ := strings.Cut(f[1], "/")
		v, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			continue
		}
		if !yield(uint16(v), strings.ToLower(proto), append(f[:1:1], f[2:]...)) {
			return
		}
	}
}

// services are the names of ports.
type services map[servicePlace]string

type servicePlace struct {
	proto probe.Proto
	port  uint16
}

// name returns the official name of a port, "" for none.
func (s services) name(proto probe.Proto, port uint16) string { return s[servicePlace{proto, port}] }

// readServices reads a services file; "" is the machine's, which need not be
// there.
func readServices(path string) (services, error) {
	s := services{}
	optional := path == ""
	if optional {
		path = servicesFile()
	}
	f, err := os.Open(path)
	if err != nil {
		if optional {
			return s, nil
		}
		return nil, fmt.Errorf("services file: %w", err)
	}
	defer f.Close()
	eachService(f, func(port uint16, proto string, names []string) bool {
		for _, p := range []probe.Proto{probe.TCP, probe.UDP} {
			if at := (servicePlace{p, port}); proto == p.String() && s[at] == "" {
				s[at] = names[0]
			}
		}
		return true
	})
	return s, nil
}
