package prlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Record is one line of PR-PORTS.
type Record struct {
	Line  int
	Time  int64 // UTC ns, of a log with whole seconds
	Proto activity.Proto
	Local netip.AddrPort
	// Remote is not valid for a UDP socket, and of a TCP listener.
	Remote   netip.AddrPort
	PID      uint32
	PIDKnown bool   // false in logs of Windows 2000
	Module   string // file name of the program; "" unknown
	User     string // DOMAIN\user or user; "" unknown
}

// Kind is what the line tells of: a listener, a UDP socket, or a connection,
// of which PR-PORTS does not say who began it: that is an accept where the
// local port is one that this log has a listener for, and is left to the caller.
func (r *Record) Kind() activity.Kind {
	switch {
	case r.Proto == activity.UDP:
		return activity.KindBind
	case !r.Remote.IsValid():
		return activity.KindListen
	}
	return activity.KindConnect
}

// ReadPorts reads a PR-PORTS log to its end. A *LineError concerns one line,
// and reading goes on; any other error is r's, and the last thing yielded. It
// takes wrapped and truncated lines, rows of seven columns without process
// (Windows 2000), commas within names, any line ends, UTF-8 and UTF-16.
func ReadPorts(r io.Reader, opt ReadOptions) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		p := newPorts(r, opt)
		var rec Record
		for {
			err := p.next(&rec)
			if err == io.EOF {
				p.publish()
				return
			}
			if err != nil && !concernsLine(err) {
				yield(Record{}, err)
				return
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

func concernsLine(err error) bool {
	var e *LineError
	return errors.As(err, &e)
}

// ports walks a PR-PORTS log. A line that begins with a date is a record or the
// beginning of one; any other belongs to the head, or continues what is before.
type ports struct {
	in    *lines
	head  header
	out   *Header // the caller's, until it is filled
	want  int     // commas in a line
	open  bool    // the line before was the column line, or a part of it
	clock clock
	names names
	tails []tail // owners read last, by a hash of their text
	join  []byte // a record that was wrapped
}

// tail is the owner's columns as they were read.
type tail struct {
	text         []byte // "1096,svchost.exe,<NT AUTHORITY\SYSTEM>"
	pid          uint32
	known        bool
	module, user string
}

// The tails that are kept, and the longest of them. A busy server's log repeats
// those of a few processes, so that a comparison stands for two look-ups of names
// and three searches for commas: a quarter of the time that a line takes.
const (
	maxTails = 256
	longTail = 256
)

func newPorts(r io.Reader, opt ReadOptions) *ports {
	if opt.Location == nil {
		opt.Location = time.Local
	}
	return &ports{in: newLines(r), head: header{loc: opt.Location}, out: opt.Header, want: 9, clock: clock{loc: opt.Location}}
}

// publish gives the caller the header once, before the first record.
func (p *ports) publish() {
	if p.out != nil {
		*p.out = p.head.Header
		p.out = nil
	}
}

// next reads one record, or the error of one line.
func (p *ports) next(rec *Record) error {
	for {
		line, err := p.in.next()
		if err != nil {
			*rec = Record{}
			if err == errLongLine {
				return lineError(p.in.number, line, err)
			}
			return err
		}
		n := p.in.number
		if !isRecord(line) {
			if line = bytes.TrimSpace(line); len(line) == 0 {
				p.columns()
				continue
			}
			if p.headLine(line) {
				continue
			}
			*rec = Record{}
			return lineError(n, line, errors.New("not a line of PR-PORTS"))
		}
		if p.open || p.out != nil {
			p.columns()
			p.publish()
		}
		if !p.whole(line) {
			line = p.unwrap(line)
		}
		if err := p.parse(rec, line); err != nil {
			*rec = Record{}
			return lineError(n, line, err)
		}
		rec.Line = n
		return nil
	}
}

// headLine takes a line of the head, or what was wrapped of the column line.
func (p *ports) headLine(line []byte) bool {
	ours := p.head.ours()
	if p.head.line(line) {
		if p.head.ours() != ours { // another log follows, whose text is escaped or not
			p.names, p.tails = names{}, nil
		}
		p.open = bytes.HasPrefix(line, []byte("date,time,"))
	} else if p.open && len(p.head.columns)+len(line) < 256 {
		p.head.columns = append(append(p.head.columns, ' '), line...)
	} else {
		return false
	}
	if len(p.head.columns) > 0 {
		p.head.Log = LogPorts
	}
	return true
}

// columns learns from the column line, which has no PID on Windows 2000.
func (p *ports) columns() {
	p.open = false
	c := p.head.columns
	if bytes.Contains(c, []byte("remote port")) && bytes.HasSuffix(c, []byte("address")) {
		p.want = 6
	}
}

// isRecord reports whether line begins with a date, which no other line and no
// continuation does.
func isRecord(line []byte) bool {
	i := 0
	for i < len(line) && i < 4 && line[i] >= '0' && line[i] <= '9' {
		i++
	}
	return i > 0 && i+1 < len(line) && line[i] == '/' && line[i+1] >= '0' && line[i+1] <= '9'
}

// whole reports whether a line has all its columns, and the user is closed.
func (p *ports) whole(line []byte) bool {
	return (line[len(line)-1] == '>' || p.want == 6) && bytes.Count(line, []byte{','}) >= p.want
}

// unwrap appends the lines that continue this one, if any do.
func (p *ports) unwrap(line []byte) []byte {
	p.join = append(p.join[:0], line...)
	for len(p.join) < maxLine && !p.whole(p.join) {
		more, err := p.in.next()
		if err != nil {
			break
		}
		rest := bytes.TrimLeft(more, " \t")
		if len(rest) == 0 || isRecord(more) || bytes.HasPrefix(rest, []byte(versionPrefix)) {
			p.in.back(more)
			break
		}
		p.join = append(p.join, rest...)
	}
	return p.join
}

var errColumns = errors.New("want ten columns, or seven without process")

// parse reads the columns of one record.
func (p *ports) parse(rec *Record, line []byte) error {
	*rec = Record{}
	rest, err := p.clock.parse(line, &rec.Time)
	if err != nil {
		return err
	}
	var proto, lport, laddr, rport, raddr []byte
	var ok bool
	if proto, rest, ok = cut(rest); ok {
		if lport, rest, ok = cut(rest); ok {
			if laddr, rest, ok = cut(rest); ok {
				rport, rest, ok = cut(rest)
			}
		}
	}
	if !ok {
		return errColumns
	}
	raddr, rest, more := cut(rest)
	if rec.Proto, err = parseProto(proto); err != nil {
		return err
	}
	if rec.Local, err = addrPort(laddr, lport); err != nil {
		return fmt.Errorf("local: %w", err)
	}
	if err := rec.remote(rport, raddr); err != nil {
		return fmt.Errorf("remote: %w", err)
	}
	if !more {
		return nil
	}
	return p.tail(rec, rest)
}

// tail reads the last three columns, which are often those of a line before.
func (p *ports) tail(rec *Record, b []byte) error {
	if len(b) < 8 || len(b) > longTail {
		return p.owner(rec, b)
	}
	if p.tails == nil {
		p.tails = make([]tail, maxTails)
	}
	const spread = 0x9e3779b97f4a7c15 // 2^64 over the golden ratio (Knuth, volume 3, section 6.4)
	t := &p.tails[binary.LittleEndian.Uint64(b)*spread>>56]
	if bytes.Equal(t.text, b) {
		rec.PID, rec.PIDKnown, rec.Module, rec.User = t.pid, t.known, t.module, t.user
		return nil
	}
	if err := p.owner(rec, b); err != nil {
		return err
	}
	*t = tail{append(t.text[:0], b...), rec.PID, rec.PIDKnown, rec.Module, rec.User}
	return nil
}

// remote leaves a UDP socket's "*,*" and a listener's ",0.0.0.0" out.
func (r *Record) remote(port, addr []byte) (err error) {
	if string(port) == "*" || len(port) == 0 && len(addr) == 0 {
		return nil
	}
	a, err := addrPort(addr, port)
	if err == nil && (a.Port() != 0 || !a.Addr().IsUnspecified()) {
		r.Remote = a
	}
	return err
}

// owner reads the last three columns. The original did not quote names: what
// lies between the pid and the user, which alone begins with <, is the module.
func (p *ports) owner(rec *Record, b []byte) error {
	pid, rest, ok := cut(b)
	if !ok {
		return errColumns
	}
	if len(pid) > 0 {
		n, ok := number(pid, 1<<32-1)
		if !ok {
			return errors.New("bad PID")
		}
		rec.PID, rec.PIDKnown = uint32(n), true
	}
	module, user, ok := cut(rest)
	if !ok {
		return errColumns
	}
	if len(user) == 0 || user[0] != '<' {
		if i := bytes.Index(rest, []byte(",<")); i >= 0 {
			module, user = rest[:i], rest[i+1:]
		}
	}
	if len(user) > 0 && user[0] == '<' {
		user = user[1:]
	}
	user = bytes.TrimSuffix(user, []byte(">"))
	ours := p.head.ours()
	rec.Module, rec.User = p.names.get(module, ours), p.names.get(user, ours)
	return nil
}

// cut returns the column that b begins with, and what follows its comma.
func cut(b []byte) (field, rest []byte, ok bool) {
	if i := bytes.IndexByte(b, ','); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}

// parseProto takes either case: 0x20 is what sets lower-case ASCII apart.
func parseProto(b []byte) (activity.Proto, error) {
	if len(b) == 3 && b[1]|0x20 == 'c' && b[0]|0x20 == 't' && b[2]|0x20 == 'p' {
		return activity.TCP, nil
	}
	if len(b) == 3 && b[1]|0x20 == 'd' && b[0]|0x20 == 'u' && b[2]|0x20 == 'p' {
		return activity.UDP, nil
	}
	return 0, errors.New("bad protocol")
}

// addrPort reads an address and a port, each of which may be empty. A mapped IPv4
// address is unmapped, as everywhere in package activity.
func addrPort(addr, port []byte) (netip.AddrPort, error) {
	var n uint64
	if len(port) > 0 {
		var ok bool
		if n, ok = number(port, 65535); !ok {
			return netip.AddrPort{}, errors.New("bad port")
		}
	}
	a, ok := parse4(addr)
	if !ok && len(addr) > 0 {
		var err error
		if a, err = netip.ParseAddr(strings.Trim(string(addr), "[]")); err != nil {
			return netip.AddrPort{}, errors.New("bad IP address")
		}
		a = a.WithZone("").Unmap()
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}

// parse4 reads a dotted quad without the string that netip.ParseAddr needs.
func parse4(b []byte) (netip.Addr, bool) {
	var v [4]byte
	n, digits, k := 0, 0, 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9' && digits < 3:
			n = n*10 + int(c-'0')
			digits++
		case c == '.' && digits > 0 && n < 256 && k < 3:
			v[k] = byte(n)
			k++
			n, digits = 0, 0
		default:
			return netip.Addr{}, false
		}
	}
	if k != 3 || digits == 0 || n > 255 {
		return netip.Addr{}, false
	}
	v[3] = byte(n)
	return netip.AddrFrom4(v), true
}

// names keeps one string for each name, for a log has few and repeats them.
type names struct {
	all map[string]string // as written to as meant
}

// maxNames bounds the names kept. A log that has more of them, which a hostile
// one can, costs more time and no more memory.
const maxNames = 4096

func (n *names) get(b []byte, escaped bool) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := n.all[string(b)]; ok {
		return s
	}
	if n.all == nil || len(n.all) >= maxNames {
		n.all = make(map[string]string, 64)
	}
	s := string(b)
	n.all[s] = s
	if escaped {
		n.all[s] = unescape(s)
	}
	return n.all[s]
}
