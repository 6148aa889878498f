package cli

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/render"
)

// shortcut is a word of interactive mode for some ports.
type shortcut struct {
	name     string
	tcp, udp []uint16
}

// shortcuts are PortQry's.
func shortcuts() []shortcut {
	return []shortcut{
		{"dns", []uint16{53}, []uint16{53}},
		{"ftp", []uint16{21}, nil},
		{"imap", []uint16{143}, nil},
		{"ipsec", nil, []uint16{500}},
		{"isa", []uint16{1745}, []uint16{1745}},
		{"ldap", []uint16{389}, []uint16{389}},
		{"l2tp", nil, []uint16{1701}},
		{"mail", []uint16{25, 110, 143}, nil},
		{"pop3", []uint16{110}, nil},
		{"rpc", []uint16{135}, []uint16{135}},
		{"smtp", []uint16{25}, nil},
		{"snmp", nil, []uint16{161}},
		{"sql", []uint16{1433}, []uint16{1434}},
		{"tftp", nil, []uint16{69}},
	}
}

// converse is interactive mode. It ends with "exit" or the end of input, and
// with the highest exit code of its queries. A wrong command is told, and
// changes nothing.
func (q *portqry) converse(ctx context.Context) (code int, err error) {
	if q.host == "" {
		q.host = "127.0.0.1"
	}
	if q.end == 0 {
		q.end = portqryPort
	}
	q.print(render.AppendPortQryInteractive(nil, q.settings()))
	for q.failed == nil && ctx.Err() == nil {
		q.print([]byte(">"))
		line, err := q.in.ReadString('\n')
		if err != nil && (!errors.Is(err, io.EOF) || line == "") {
			return code, nil
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if w := strings.ToLower(words[0]); w == "exit" || w == "quit" {
			return code, nil
		}
		n, err := q.obey(ctx, words)
		code = max(code, n)
		if err != nil {
			q.print([]byte(oneLine(err.Error()) + "\n\n"))
		}
	}
	return code, q.failed
}

func (q *portqry) settings() render.PortQrySettings {
	return render.PortQrySettings{Node: q.host, EndPort: q.end, Protocol: protoWords(q.protos), SourcePort: int(q.source),
		Community: q.community, NoReverse: q.noReverse, SlowLink: q.slow}
}

func protoWords(protos []probe.Proto) string {
	if len(protos) > 1 {
		return "BOTH"
	}
	return strings.ToUpper(protos[0].String())
}

func (q *portqry) obey(ctx context.Context, words []string) (code int, err error) {
	switch word, args := strings.ToLower(words[0]), words[1:]; {
	case word == "help" || word == "?":
		var names []string
		for _, s := range shortcuts() {
			names = append(names, s.name)
		}
		q.print(render.AppendPortQryCommands(nil, names))
	case (word == "n" || word == "node") && len(args) == 1:
		q.host = args[0]
		q.print(render.AppendPortQryNode(nil, q.host))
	case (word == "q" || word == "query") && len(args) == 0:
		return q.query(ctx)
	case (word == "q" || word == "query") && len(args) == 1:
		return q.shortcut(ctx, strings.ToLower(args[0]))
	case word == "set" && len(args) == 1 && strings.EqualFold(args[0], "all"):
		q.print(render.AppendPortQrySettings(nil, q.settings()))
	case word == "set" && len(args) > 0:
		return 0, q.set(strings.Join(args, " "))
	default:
		known := []string{"help", "node", "query", "set", "exit"}
		if slices.Contains(append(known, "n", "q"), word) {
			return 0, portqryErrorf("wrong use of %q; see help", words[0])
		}
		return 0, portqryErrorf("unknown command %q%s", words[0], didYouMean(word, "", known))
	}
	return 0, nil
}

// shortcut queries a shortcut's ports, whatever is set.
func (q *portqry) shortcut(ctx context.Context, name string) (code int, err error) {
	all := shortcuts()
	i := slices.IndexFunc(all, func(s shortcut) bool { return s.name == name })
	if i < 0 {
		var names []string
		for _, s := range all {
			names = append(names, s.name)
		}
		return 0, portqryErrorf("unknown shortcut %q%s", name, didYouMean(name, "", names))
	}
	saved := q.portqryArgs
	defer func() { q.portqryArgs = saved }()
	for _, part := range []struct {
		proto probe.Proto
		ports []uint16
	}{{probe.TCP, all[i].tcp}, {probe.UDP, all[i].udp}} {
		if len(part.ports) == 0 {
			continue
		}
		q.protos, q.order = []probe.Proto{part.proto}, part.ports
		n, err := q.query(ctx)
		code = max(code, n)
		if err != nil {
			return code, err
		}
	}
	return code, nil
}

// set changes an option: name=value, or one of the two toggles.
func (q *portqry) set(text string) error {
	name, value, assigned := strings.Cut(text, "=")
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
	var err error
	switch name {
	case "nr":
		q.noReverse = !q.noReverse
	case "sl":
		q.slow = !q.slow
	case "port", "e":
		var n int
		if n, err = portNumber(value); err == nil {
			q.end = n
		}
	case "sport", "sp":
		err = setSource(&q.portqryArgs, value)
	case "protocol", "p":
		err = setProtos(&q.portqryArgs, value)
	case "cn":
		err = setCommunity(&q.portqryArgs, value)
	default:
		return portqryErrorf("unknown option %q%s", name, didYouMean(name, "", []string{"port", "sport", "protocol", "cn", "nr", "sl", "all"}))
	}
	switch toggle := name == "nr" || name == "sl"; {
	case toggle && assigned:
		return portqryErrorf("%q is switched by its name alone", name)
	case !toggle && !assigned:
		return portqryErrorf("set %s=VALUE", name)
	case err != nil:
		return portqryErrorf("%s: %v", name, err)
	}
	q.print(render.AppendPortQrySettings(nil, q.settings()))
	return nil
}
