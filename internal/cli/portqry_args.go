package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
)

// portqryArgs is a command line of PortQry 2.0 (KB 832919), which knows no
// subcommands: -n, -i, -local, -wport or -wpid says what is to be done.
type portqryArgs struct {
	host        string
	protos      []probe.Proto // in the order of their tests
	end         int           // -e; 0 not given
	order       []uint16      // -o
	from, to    int           // -r; 0 not given
	log         string
	overwrite   bool
	slow        bool
	noReverse   bool
	quiet       bool
	community   string
	source      uint16
	verbose     bool
	interactive bool
	local       bool
	watchPort   int
	watchPID    int
	interval    time.Duration
	services    string
	as          string
	help        bool
	version     bool
}

// What PortQry takes for granted.
const (
	portqryPort     = 80
	portqryInterval = 60 * time.Second
	maxInterval     = 1200 // seconds
)

// portqryOption is one switch, without its dash or slash.
type portqryOption struct {
	name, value string // value names what follows; "" nothing
	help        string
	set         func(a *portqryArgs, v string) error
}

// portqryOptions are PortQry's switches, in the order of the help text, then
// two of ours.
func portqryOptions() []portqryOption {
	flag := func(name, help string, b func(*portqryArgs) *bool) portqryOption {
		return portqryOption{name: name, help: help, set: func(a *portqryArgs, _ string) error { *b(a) = true; return nil }}
	}
	return []portqryOption{
		{"n", "NAME", "name or IP address of the system to query", func(a *portqryArgs, v string) error { a.host = v; return nil }},
		{"p", "PROTOCOL", "tcp, udp or both; tcp if left out", setProtos},
		{"e", "PORT", "port to query, 1 to 65535; 80 if left out", func(a *portqryArgs, v string) (err error) { a.end, err = portNumber(v); return err }},
		{"r", "FROM:TO", "range of ports to query", setRange},
		{"o", "PORT,PORT", "ports to query, in that order", setOrder},
		{"l", "FILE", "also write a text log", func(a *portqryArgs, v string) error { a.log = v; return nil }},
		flag("y", "overwrite the log without asking", func(a *portqryArgs) *bool { return &a.overwrite }),
		{"sp", "PORT", "source port of the first test", setSource},
		flag("sl", "slow link: wait twice as long for answers", func(a *portqryArgs) *bool { return &a.slow }),
		flag("nr", "no reverse look-up of an address", func(a *portqryArgs) *bool { return &a.noReverse }),
		{"cn", "!COMMUNITY!", "SNMP community, between exclamation marks; public if left out", setCommunity},
		flag("q", "quiet: errors and the exit code only", func(a *portqryArgs) *bool { return &a.quiet }),
		flag("i", "interactive mode; \"help\" there lists its commands", func(a *portqryArgs) *bool { return &a.interactive }),
		flag("local", "show this system's ports and their processes", func(a *portqryArgs) *bool { return &a.local }),
		{"wport", "PORT", "watch a port of this system", func(a *portqryArgs, v string) (err error) { a.watchPort, err = portNumber(v); return err }},
		{"wpid", "PID", "watch the ports of a process of this system", setWatchPID},
		{"wt", "SECONDS", "how often a watch looks where no recorder runs, 1 to 1200; 60 if left out", setInterval},
		flag("v", "verbose: services and modules, and every value of an answer", func(a *portqryArgs) *bool { return &a.verbose }),
		{"services", "FILE", "services file, which names ports and picks the question", func(a *portqryArgs, v string) error { a.services = v; return nil }},
		{"as", "PROTOCOL", "ask this protocol's question, whatever the port", func(a *portqryArgs, v string) error { a.as = strings.ToLower(v); return nil }},
	}
}

// portqryError is a command line that says nothing sensible.
type portqryError struct{ text string }

func (e portqryError) Error() string { return e.text }

func portqryErrorf(format string, args ...any) error {
	return portqryError{fmt.Sprintf(format, args...)}
}

// parsePortqry reads a command line. Switches begin with - or / and are taken
// in any case, as on the system that PortQry is from; --name is as good.
func parsePortqry(args []string) (a portqryArgs, err error) {
	a = portqryArgs{protos: []probe.Proto{probe.TCP}, community: "public", watchPID: -1, interval: portqryInterval}
	if len(args) == 0 {
		a.help = true
		return a, nil
	}
	given := map[string]bool{}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		name, isSwitch := switchName(word)
		switch {
		case !isSwitch:
			return a, portqryErrorf("unexpected word %q: options begin with - or /", word)
		case name == "?" || name == "h" || name == "help":
			a.help = true
			return a, nil
		case name == "version":
			a.version = true
			return a, nil
		case name == "s": // PortQry 1.22's word
			name = "sl"
		}
		o, err := findPortqryOption(name)
		if err != nil {
			return a, err
		}
		if given[o.name] {
			return a, portqryErrorf("-%s is given twice", o.name)
		}
		given[o.name] = true
		value := ""
		if o.value != "" {
			if value, args, err = optionValue(o, args); err != nil {
				return a, err
			}
		}
		if err := o.set(&a, value); err != nil {
			return a, portqryErrorf("-%s: %v", o.name, err)
		}
	}
	return a, a.check(given)
}

func switchName(word string) (string, bool) {
	for _, dash := range []string{"--", "-", "/"} {
		if name, ok := strings.CutPrefix(word, dash); ok && name != "" {
			return strings.ToLower(name), true
		}
	}
	return "", false
}

func findPortqryOption(name string) (portqryOption, error) {
	all := portqryOptions()
	if i := slices.IndexFunc(all, func(o portqryOption) bool { return o.name == name }); i >= 0 {
		return all[i], nil
	}
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = o.name
	}
	// Every short word is one letter from another: that is no hint.
	hint := ""
	if len(name) > 2 {
		hint = didYouMean(name, "-", names)
	}
	if hint == "" {
		hint = "; usage: portqry -n NAME [options], and portqry -? lists them"
	}
	return portqryOption{}, portqryErrorf("unknown option %q%s", "-"+name, hint)
}

// optionValue takes an option's value. A community may hold spaces, and then
// comes as several words where nobody quoted it: it ends at its exclamation mark.
func optionValue(o portqryOption, args []string) (string, []string, error) {
	if len(args) == 0 || o.value != "!COMMUNITY!" && strings.HasPrefix(args[0], "-") && len(args[0]) > 1 {
		return "", nil, portqryErrorf("-%s needs a value: %s", o.name, o.value)
	}
	value, rest := args[0], args[1:]
	for o.value == "!COMMUNITY!" && strings.HasPrefix(value, "!") && (len(value) < 2 || !strings.HasSuffix(value, "!")) && len(rest) > 0 {
		value, rest = value+" "+rest[0], rest[1:]
	}
	return value, rest, nil
}

// check looks at what was given together.
func (a *portqryArgs) check(given map[string]bool) error {
	one := func(names ...string) error {
		names = slices.DeleteFunc(names, func(n string) bool { return !given[n] })
		if len(names) > 1 {
			return portqryErrorf("-%s and -%s exclude each other", names[0], names[1])
		}
		return nil
	}
	watch := given["wport"] || given["wpid"]
	here := given["local"] || watch
	for _, err := range []error{one("e", "o", "r"), one("local", "wport", "wpid"), one("n", "local"), one("n", "wport"), one("n", "wpid"),
		one("i", "local"), one("i", "wport"), one("i", "wpid"), one("i", "l"), one("i", "q")} {
		if err != nil {
			return err
		}
	}
	switch {
	case !given["n"] && !given["i"] && !here:
		return portqryErrorf("nothing to do: -n NAME names a system to query; see portqry -?")
	case given["q"] && here:
		return portqryErrorf("-q has no meaning in local mode")
	case given["q"] && (given["o"] || given["r"] || len(a.protos) > 1):
		return portqryErrorf("-q is for one port: not with -o, -r or -p both")
	case given["wt"] && !watch:
		return portqryErrorf("-wt is for -wport and -wpid")
	}
	return nil
}

// ports lists what is to be tested, in order.
func (a *portqryArgs) ports() []uint16 {
	switch {
	case len(a.order) > 0:
		return a.order
	case a.from > 0:
		ports := make([]uint16, 0, a.to-a.from+1)
		for p := a.from; p <= a.to; p++ {
			ports = append(ports, uint16(p))
		}
		return ports
	case a.end > 0:
		return []uint16{uint16(a.end)}
	}
	return []uint16{portqryPort}
}

func portNumber(v string) (int, error) {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("bad port %q: 1 to 65535", v)
	}
	return int(n), nil
}

func setProtos(a *portqryArgs, v string) error {
	switch strings.ToLower(v) {
	case "tcp":
		a.protos = []probe.Proto{probe.TCP}
	case "udp":
		a.protos = []probe.Proto{probe.UDP}
	case "both":
		a.protos = []probe.Proto{probe.TCP, probe.UDP}
	default:
		return fmt.Errorf("unknown protocol %q: tcp, udp or both", v)
	}
	return nil
}

// setRange takes both delimiters that the article shows.
func setRange(a *portqryArgs, v string) (err error) {
	i := strings.IndexAny(v, ":;")
	if i < 0 {
		return fmt.Errorf("bad range %q: FROM:TO", v)
	}
	if a.from, err = portNumber(v[:i]); err != nil {
		return err
	}
	if a.to, err = portNumber(v[i+1:]); err != nil {
		return err
	}
	if a.from >= a.to {
		return fmt.Errorf("bad range %q: it must begin with the lower port", v)
	}
	return nil
}

func setOrder(a *portqryArgs, v string) error {
	for _, w := range strings.Split(v, ",") {
		p, err := portNumber(w)
		if err != nil {
			return err
		}
		a.order = append(a.order, uint16(p))
	}
	return nil
}

func setSource(a *portqryArgs, v string) error {
	if v == "0" { // interactive mode's word for any
		a.source = 0
		return nil
	}
	p, err := portNumber(v)
	a.source = uint16(p)
	return err
}

func setCommunity(a *portqryArgs, v string) error {
	if len(v) < 3 || v[0] != '!' || v[len(v)-1] != '!' {
		return fmt.Errorf("a community stands between exclamation marks, !public! for one")
	}
	a.community = v[1 : len(v)-1]
	return nil
}

func setWatchPID(a *portqryArgs, v string) error {
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return fmt.Errorf("bad process id %q", v)
	}
	a.watchPID = int(n)
	return nil
}

func setInterval(a *portqryArgs, v string) error {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil || n < 1 || n > maxInterval {
		return fmt.Errorf("bad interval %q: 1 to %d seconds", v, maxInterval)
	}
	a.interval = time.Duration(n) * time.Second
	return nil
}
