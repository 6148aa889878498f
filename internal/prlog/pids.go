package prlog

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Section is what PR-PIDS says for one line of PR-PORTS, or PR-INITIAL for one
// process.
type Section struct {
	Line   int    // of its first line
	Number uint64 // "Log number": the entry of PR-PORTS, from 1; 0 in PR-INITIAL
	Time   int64  // "recorded at", UTC ns; 0 in PR-INITIAL
	Lost   uint64 // entries before this one that could not be written

	PID      uint32
	PIDKnown bool
	Name     string // file name of the program, "" unknown
	User     string
	Services []Service

	Mappings  []Mapping
	TableAt   uint64 // the rest of the table is that of this section; 0 it is all here
	More      int    // mappings left out
	Modules   []activity.Module
	ModulesAt uint64 // the modules are those of this section
}

// Service is one Windows service or systemd unit.
type Service struct {
	Name, Display, Type string
}

// Mapping is a row of a port table.
type Mapping struct {
	PID           uint32
	Name          string // PR-INITIAL only
	Proto         activity.Proto
	Local, Remote netip.AddrPort // Remote is not valid for listeners and UDP
	State         activity.State // StateNone for UDP
}

// Initial is a PR-INITIAL log.
type Initial struct {
	Header    Header
	Found     int // "mappings found"
	Mappings  []Mapping
	Processes []Section
	Continues string // the log whose mappings these are, when this one has none
}

// maxRead bounds the rows of one table, and the modules of one process; and of
// PR-INITIAL, which is held as a whole, the processes and modules in all. A
// machine has no more than a few thousand of the former, each with a hundred of
// the latter.
const maxRead = 1 << 20

// ReadPIDs reads a PR-PIDS log to its end. Errors are as in ReadPorts; the
// section in which a line is wrong is still yielded, with the rest of it.
func ReadPIDs(r io.Reader, opt ReadOptions) iter.Seq2[*Section, error] {
	return func(yield func(*Section, error) bool) {
		p := newPIDs(r, opt)
		for {
			s, err := p.next()
			if s != nil && !yield(s, nil) {
				return
			}
			switch {
			case err == io.EOF:
				return
			case err != nil && (!yield(nil, err) || !concernsLine(err)):
				return
			}
		}
	}
}

// ReadInitial reads a PR-INITIAL log. The result holds all that could be read,
// also where there is an error, which joins the *LineErrors of at most a hundred
// lines, and r's own.
func ReadInitial(r io.Reader, opt ReadOptions) (*Initial, error) {
	const most = 100
	p := newPIDs(r, opt)
	p.initial = &Initial{}
	p.section = &Section{} // takes the table at the top
	var errs []error
	held := 0 // processes, modules and rows
	for first := true; ; {
		s, err := p.next()
		if s != nil {
			if first {
				first = false
				p.initial.Mappings = s.Mappings
			} else if held += 1 + len(s.Modules) + len(s.Mappings); held <= maxRead {
				p.initial.Processes = append(p.initial.Processes, *s)
			} else if err == nil {
				err = lineError(s.Line, nil, errors.New("too many processes and modules"))
			}
		}
		if err == nil || concernsLine(err) && len(errs) >= most {
			continue
		}
		if err != io.EOF {
			errs = append(errs, err)
		}
		if !concernsLine(err) {
			p.initial.Header = p.head.Header
			return p.initial, errors.Join(errs...)
		}
	}
}

// pids walks a log of sections, a line at a time:
//
//	head -> (rule) Log number | Process ID -> lines of the section -> next one
//
// No line but these two begins a section, so a section lost its end, or has
// lines that are not understood, without harm to those around it.
type pids struct {
	in      *lines
	head    header
	out     *Header
	clock   clock
	initial *Initial // nil for PR-PIDS

	section *Section // being read
	modules bool     // within its module list
	names   names    // of modules
	partial []byte   // a module's line that was wrapped
	ended   bool
}

func newPIDs(r io.Reader, opt ReadOptions) *pids {
	if opt.Location == nil {
		opt.Location = time.Local
	}
	return &pids{in: newLines(r), head: header{loc: opt.Location}, out: opt.Header, clock: clock{loc: opt.Location}}
}

// next returns a section that ended, or the error of one line, or neither.
func (p *pids) next() (*Section, error) {
	if p.ended {
		return nil, io.EOF
	}
	line, err := p.in.next()
	if err == errLongLine {
		return nil, lineError(p.in.number, line, err)
	}
	if err != nil {
		p.ended = true
		p.publish()
		s := p.section
		p.section = nil
		return s, errors.Join(p.broken(), only(err))
	}
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return nil, p.broken()
	}
	if s, ok, err := p.begins(line); ok {
		return s, errors.Join(p.broken(), err)
	}
	if p.section == nil || p.initial != nil && len(p.initial.Processes) == 0 && p.section.Line == 0 {
		if p.head.line(line) || p.initialLine(line) {
			return nil, nil
		}
	}
	if p.section != nil {
		if err := p.line(line); err != nil {
			return nil, lineError(p.in.number, line, err)
		}
		return nil, nil
	}
	return nil, lineError(p.in.number, line, errors.New("not a line of this log"))
}

// only makes the end of a log no error where another one is to be told: next
// tells the end again.
func only(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// publish gives the caller the header once, when the first section begins: all
// of the head has been read then.
func (p *pids) publish() {
	if p.out != nil {
		*p.out = p.head.Header
		p.out = nil
	}
}

// begins starts a new section where line does, and returns the one before. A
// line that is wrong itself begins one all the same.
func (p *pids) begins(line []byte) (before *Section, ok bool, err error) {
	numbered := bytes.HasPrefix(line, []byte(lineNumber))
	switch {
	case numbered && p.initial == nil:
	case bytes.HasPrefix(line, []byte(lineProcess)) && (p.section == nil || p.initial != nil || p.section.PIDKnown):
	case len(line) > 40 && len(bytes.Trim(line, "=")) == 0:
		p.modules = false
		return nil, true, nil
	default:
		return nil, false, nil
	}
	p.publish()
	before = p.section
	p.section = &Section{Line: p.in.number}
	p.modules = false
	if err := p.line(line); err != nil {
		return before, true, lineError(p.in.number, line, err)
	}
	return before, true, nil
}

// initialLine takes what only the head of PR-INITIAL has.
func (p *pids) initialLine(line []byte) bool {
	if p.initial == nil {
		return false
	}
	if found, ok := bytes.CutSuffix(line, []byte(lineFound)); ok {
		n, _ := number(found, maxRead)
		p.initial.Found = int(n)
		return true
	}
	if name, ok := bytes.CutPrefix(line, []byte(lineContinue)); ok {
		p.initial.Continues = string(name)
		return true
	}
	return string(line) == lineMappings
}

// line takes one line of a section.
func (p *pids) line(line []byte) error {
	s := p.section
	if p.modules && line[len(line)-1] == ')' && bytes.Contains(line, []byte(" (0x")) { // most lines are these
		return p.module(line)
	}
	name, value := splitField(line)
	switch name {
	case lineNumber:
		return parseUint(value, &s.Number)
	case lineLost:
		return parseUint(value, &s.Lost)
	case lineRecorded:
		_, err := p.clock.parse(append(slices.Clip(value), ','), &s.Time)
		return err
	case lineProcess:
		return p.process(value)
	case lineUser:
		s.User = p.head.text(value)
	case lineService:
		s.Services = append(s.Services, Service{Name: p.head.text(value)})
	case lineDisplay:
		return s.service(func(v *Service) { v.Display = p.head.text(value) })
	case lineType:
		return s.service(func(v *Service) { v.Type = p.head.text(value) })
	case lineTableAt:
		value, _, _ = bytes.Cut(value, []byte(","))
		return parseUint(value, &s.TableAt)
	case lineModules:
		return p.moduleHead(value)
	case lineTCP, lineUDP, lineState, lineStats, lineNoSvc, lineNoMods:
		// Statistics follow from the table; the others say that there is nothing.
	default:
		return p.free(line)
	}
	return nil
}

// splitField names the line's kind by its constant text. The module list's
// lines, which are most, have none.
func splitField(line []byte) (name string, value []byte) {
	for _, name := range [...]string{lineNumber, lineLost, lineRecorded, lineProcess, lineUser, lineService, lineDisplay, lineType,
		lineTableAt, lineModules, lineTCP, lineUDP, lineState, lineStats, lineNoSvc, lineNoMods} {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			return name, bytes.TrimSpace(rest)
		}
		if string(line) == strings.TrimSpace(name) { // a value that is empty
			return name, nil
		}
	}
	return "", nil
}

// parseUint leaves *to alone where b is no number.
func parseUint(b []byte, to *uint64) error {
	n, ok := number(b, 1<<63)
	if !ok {
		return errors.New("bad number")
	}
	*to = n
	return nil
}

// service changes the service that was named last: its lines follow its name.
func (s *Section) service(set func(*Service)) error {
	if len(s.Services) == 0 {
		return errors.New("no service name before")
	}
	set(&s.Services[len(s.Services)-1])
	return nil
}

// process takes "1096 (svchost.exe)".
func (p *pids) process(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	pid, rest, _ := bytes.Cut(b, []byte(" "))
	n, ok := number(pid, 1<<32-1)
	if !ok {
		return errors.New("bad process id")
	}
	p.section.PID, p.section.PIDKnown = uint32(n), true
	rest = bytes.TrimSpace(rest)
	rest = bytes.TrimSuffix(bytes.TrimPrefix(rest, []byte("(")), []byte(")"))
	p.section.Name = p.head.text(rest)
	return nil
}

// moduleHead begins a module list, or refers to another section's.
func (p *pids) moduleHead(value []byte) error {
	for _, words := range [...]string{sinceNumber, sameNumber} {
		if n, ok := bytes.CutPrefix(value, []byte(words)); ok {
			return parseUint(n, &p.section.ModulesAt)
		}
	}
	p.modules = true
	return nil
}

// free takes a line without a name: a table's row or head, or a module.
func (p *pids) free(line []byte) error {
	if p.modules {
		return p.module(line)
	}
	s := p.section
	if bytes.HasPrefix(line, []byte("PID")) {
		return nil
	}
	if more, ok := bytes.CutSuffix(line, []byte(lineMore)); ok {
		n, ok := number(more, maxRead)
		if !ok {
			return errors.New("bad number")
		}
		s.More = int(n)
		return nil
	}
	if len(s.Mappings) >= maxRead {
		return errors.New("too many mappings")
	}
	m, err := p.row(line)
	if err == nil {
		s.Mappings = append(s.Mappings, m)
	}
	return err
}

// module takes `C:\WINDOWS\system32\ntdll.dll (0x7C900000)`. A path without its
// address is joined with the next line.
func (p *pids) module(line []byte) error {
	if len(p.partial) > 0 {
		line = append(p.partial, line...)
		p.partial = nil
	}
	i := bytes.LastIndex(line, []byte("(0x"))
	if i < 0 || line[len(line)-1] != ')' {
		if len(line) > 8<<10 {
			return errors.New("module without an address")
		}
		p.partial = bytes.Clone(line)
		return nil
	}
	base, err := strconv.ParseUint(string(line[i+3:len(line)-1]), 16, 64)
	if err != nil {
		return errors.New("bad module address")
	}
	s := p.section
	if len(s.Modules) >= maxRead {
		return errors.New("too many modules")
	}
	m := activity.Module{Base: base}
	path := bytes.TrimSpace(line[:i])
	if p.head.ours() {
		path, m.Deleted = bytes.CutSuffix(path, []byte(deletedMark))
	}
	m.Path = p.names.get(path, p.head.ours()) // the original lists them all for each line of PR-PORTS
	s.Modules = append(s.Modules, m)
	return nil
}

// broken reports a module's line that the next one did not complete.
func (p *pids) broken() error {
	if len(p.partial) == 0 {
		return nil
	}
	err := lineError(p.in.number-1, p.partial, errors.New("module without an address"))
	p.partial = nil
	return err
}
