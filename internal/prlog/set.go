package prlog

import (
	"errors"
	"io"
	"iter"
	"net/netip"
	"strconv"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Set is the logs of one start of Port Reporter, which share a suffix; nil where
// there is none of a kind. The caller closes them.
type Set struct{ Initial, Ports, PIDs io.Reader }

// SetOptions say what a set does not.
type SetOptions struct {
	Location *time.Location // as in ReadOptions
	Origin   string         // tells this set's processes from those of others: host and suffix, for example
	Began    int64          // UTC ns, of the logs' names: where no head has a date
	// Listeners, if not nil, holds the listeners of the set that this one
	// continues, and takes those of this one.
	Listeners map[netip.AddrPort]bool
	// Modules is given each module set before the first event whose process has
	// it; nil drops them.
	Modules func(*activity.ModuleSet)
}

// Events reads the set as events of tier import, in the order of its logs: what
// PR-INITIAL found is a snapshot, then comes PR-PORTS line by line, each joined
// with the section of PR-PIDS that has its number. A set without PR-PORTS gives
// snapshots of what the sections show.
//
// What the logs do not say is unknown: a section's pid is all that names its
// process. A connection is an accept where a listener of its port is on record,
// else a connect, and either is said to be concluded. A *LineError concerns one
// line, whose Log says where; any other error ends one of the logs, and the rest
// is read. Events are the caller's until the next one, processes for good.
func (s Set) Events(opt SetOptions) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		r := &setReader{opt: opt, read: ReadOptions{Location: opt.Location}, yield: yield,
			owners: owners{origin: opt.Origin, modules: opt.Modules}, listening: opt.Listeners}
		if r.listening == nil {
			r.listening = map[netip.AddrPort]bool{}
		}
		if s.Initial != nil {
			r.initial(s.Initial)
		}
		switch {
		case s.Ports != nil:
			r.ports(s.Ports, s.PIDs)
		case s.PIDs != nil:
			r.sectionsAlone(s.PIDs)
		}
	}
}

// setReader is one reading of a set. Nothing is yielded once done.
type setReader struct {
	opt       SetOptions
	read      ReadOptions
	yield     func(*activity.Event, error) bool
	done      bool
	owners    owners
	listening map[netip.AddrPort]bool // TCP listeners so far
	event     activity.Event
}

func (r *setReader) emit() {
	if !r.done && !r.yield(&r.event, nil) {
		r.done = true
	}
}

// fail tells what is wrong with a log: each of several errors by itself.
func (r *setReader) fail(l Log, err error) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range many.Unwrap() {
			r.fail(l, err)
		}
		return
	}
	var line *LineError
	if errors.As(err, &line) {
		line.Log = l
	} else {
		err = &LineError{Log: l, Err: err}
	}
	if !r.done && !r.yield(nil, err) {
		r.done = true
	}
}

// initial tells what PR-INITIAL found.
func (r *setReader) initial(in io.Reader) {
	log, err := ReadInitial(in, r.read)
	began := log.Header.Date.UnixNano()
	if log.Header.Date.IsZero() {
		began = r.opt.Began
	}
	details := make(map[uint32]*Section, len(log.Processes))
	for i := range log.Processes {
		if p := &log.Processes[i]; p.PIDKnown {
			details[p.PID] = p
		}
	}
	for i := range log.Mappings {
		if r.done {
			return
		}
		m := &log.Mappings[i]
		r.snapshot(m, m.PID, m.Name, details[m.PID], began)
	}
	if err != nil {
		r.fail(LogInitial, err)
	}
}

// snapshot tells of one row of a table. Rows that are of no process any more are
// the remains of a connection, and no open port.
func (r *setReader) snapshot(m *Mapping, pid uint32, name string, s *Section, at int64) {
	switch m.State {
	case activity.StateTimeWait, activity.StateLastAck, activity.StateClosed:
		return
	case activity.StateListen:
		r.listen(m.Local)
	}
	r.event = activity.Event{Time: at, Kind: activity.KindSnapshot, Proto: m.Proto, Tier: activity.TierImport,
		Provenance: activity.Snapshotted, Local: m.Local, Remote: m.Remote}
	user := ""
	if s != nil {
		user = s.User
	}
	r.own(pid, true, name, user, s)
	r.emit()
}

// own names the event's owner. Pid 0 is the system's idle process, which shows
// for sockets that no process has: it owns none.
func (r *setReader) own(pid uint32, known bool, name, user string, s *Section) {
	if !known || pid == 0 {
		r.event.Unknown |= activity.FactOwner
		return
	}
	p := r.owners.find(pid, name, user, s)
	r.event.Owner, r.event.Process, r.event.Role = p.Key, p, activity.RoleHolder
}

// maxListening bounds the listeners that are remembered: twice all ports.
const maxListening = 1 << 17

func (r *setReader) listen(local netip.AddrPort) {
	if len(r.listening) < maxListening {
		r.listening[local] = true
	}
}

// listens reports whether a connection's local end is that of a listener: one
// on all addresses takes those of its family, and the IPv6 one those of IPv4 too.
func (r *setReader) listens(local netip.AddrPort) bool {
	any4, any6 := netip.AddrPortFrom(netip.IPv4Unspecified(), local.Port()), netip.AddrPortFrom(netip.IPv6Unspecified(), local.Port())
	return r.listening[local] || r.listening[any6] || local.Addr().Is4() && r.listening[any4]
}

// ports tells PR-PORTS line by line. A line that cannot be read has a number, and
// a section, all the same.
func (r *setReader) ports(in, details io.Reader) {
	sections := r.openSections(details)
	defer sections.stop()
	var number uint64
	for rec, err := range ReadPorts(in, r.read) {
		if r.done {
			return
		}
		var line *LineError
		switch {
		case errors.As(err, &line):
			if isRecord([]byte(line.Text)) {
				number++
			}
			r.fail(LogPorts, err)
		case err != nil:
			r.fail(LogPorts, err)
		default:
			number++
			r.record(&rec, sections.at(number))
		}
	}
	if n := sections.rest(); n > 0 {
		r.fail(LogPIDs, leftOver(n))
	}
}

// record tells one line. A section of another process is another's: one of the
// logs lost lines.
func (r *setReader) record(rec *Record, s *Section) {
	if s != nil && (s.PIDKnown != rec.PIDKnown || s.PID != rec.PID) {
		r.fail(LogPIDs, &LineError{Line: s.Line, Text: lineNumber + strconv.FormatUint(s.Number, 10), Err: errOtherProcess})
		s = nil
	}
	e := &r.event
	*e = activity.Event{Time: rec.Time, Kind: rec.Kind(), Proto: rec.Proto, Tier: activity.TierImport, Local: rec.Local, Remote: rec.Remote}
	switch e.Kind {
	case activity.KindListen:
		r.listen(e.Local)
	case activity.KindConnect:
		e.Flags |= activity.FlagConcluded
		if r.listens(e.Local) {
			e.Kind = activity.KindAccept
			e.Flags |= activity.FlagInbound
		}
	}
	r.own(rec.PID, rec.PIDKnown, rec.Module, rec.User, s)
	if !r.done {
		r.emit()
	}
}

var errOtherProcess = errors.New("the section is of another process than the line of PR-PORTS with its number")

// sections reads PR-PIDS beside PR-PORTS.
type sections struct {
	r    *setReader
	next func() (*Section, error, bool)
	stop func()
	held *Section // read, and of a number to come
}

func (r *setReader) openSections(in io.Reader) *sections {
	s := &sections{r: r, stop: func() {}}
	if in != nil {
		s.next, s.stop = iter.Pull2(ReadPIDs(in, r.read))
	}
	return s
}

// take returns the next section, nil at the end. Its modules are noted, also
// where the section itself is not wanted: later ones may refer to them.
func (s *sections) take() *Section {
	for s.next != nil && !s.r.done {
		sec, err, ok := s.next()
		switch {
		case !ok:
			s.next = nil
		case err != nil:
			s.r.fail(LogPIDs, err)
		default:
			s.r.owners.note(sec)
			return sec
		}
	}
	return nil
}

// at returns the section of a number; those before it are passed over.
func (s *sections) at(number uint64) *Section {
	for s.held == nil || s.held.Number < number {
		if s.held = s.take(); s.held == nil {
			return nil
		}
	}
	if s.held.Number > number {
		return nil
	}
	return s.held
}

// rest counts the sections that are left.
func (s *sections) rest() (n uint64) {
	for s.take() != nil {
		n++
	}
	return n
}

// sectionsAlone tells what a PR-PIDS without its PR-PORTS shows: each mapping
// once for each process.
func (r *setReader) sectionsAlone(in io.Reader) {
	type key struct {
		pid           uint32
		proto         activity.Proto
		local, remote netip.AddrPort
	}
	told := map[key]bool{}
	s := r.openSections(in)
	defer s.stop()
	for sec := s.take(); sec != nil && !r.done; sec = s.take() {
		for i := range sec.Mappings {
			m := &sec.Mappings[i]
			k := key{sec.PID, m.Proto, m.Local, m.Remote}
			if told[k] || r.done {
				continue
			}
			if len(told) >= maxListening {
				clear(told)
			}
			told[k] = true
			r.snapshot(m, sec.PID, sec.Name, sec, sec.Time)
		}
	}
}
