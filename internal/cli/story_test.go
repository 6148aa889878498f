package cli

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/journal"
)

// story is the program with which scripts write a record of their own:
//
//	story DIR < STORY
//
// A line of a STORY is a process or an event. Words are Go-quoted where they
// hold spaces or worse; a line that begins with # is a remark.
//
//	process NAME [pid=N] [exe=PATH] [user=NAME] [uid=N] [unit=U] [container=NAME] [image=I] [args=A ...] [sha256=X] [package=P] [parent=NAME]
//	        [module=PATH|PACKAGE ...] [start=TIME] [deleted]
//	TIME KIND [tcp|udp LOCAL [REMOTE]] [@PROCESS] [socket=N] [netns=N] [rx=N] [tx=N] [after=DURATION] [reason=WORD]
//	          [holder=@PROCESS] [with=@PROCESS ...] [from=TIME] [to=TIME] [lost=KIND:N] [why=TEXT] [autobind] [inbound] [reset] [inferred] [unknown]
//
// TIME is RFC 3339 or counts back from now: -26h. Each recorder-start begins a
// run; a run before it that has no recorder-stop crashed.
func story(args []string, r io.Reader) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: story DIR")
	}
	s := &storyteller{dir: args[0], now: time.Now(), processes: map[string]*activity.Process{}}
	n := 0
	for sc := bufio.NewScanner(r); sc.Scan(); {
		n++
		if err := s.line(sc.Text()); err != nil {
			return fmt.Errorf("line %d: %q: %w", n, sc.Text(), err)
		}
	}
	return s.end()
}

type storyteller struct {
	dir       string
	now       time.Time
	journal   *journal.Writer
	processes map[string]*activity.Process
	sets      []*activity.ModuleSet
}

func (s *storyteller) end() error {
	if s.journal == nil {
		return nil
	}
	err := s.journal.Finish(context.Background())
	s.journal = nil
	return err
}

// words splits a line at spaces; a quoted part of a word is unquoted.
func words(line string) (ws []string, err error) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " \t") {
		end := strings.IndexAny(line, " \t\"")
		word := line
		switch {
		case end < 0:
			line = ""
		case line[end] != '"':
			word, line = line[:end], line[end:]
		default:
			quoted, err := strconv.QuotedPrefix(line[end:])
			if err != nil {
				return nil, err
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			word, line = line[:end]+text, line[end+len(quoted):]
		}
		ws = append(ws, word)
	}
	return ws, nil
}

func (s *storyteller) line(line string) error {
	ws, err := words(line)
	switch {
	case err != nil:
		return err
	case len(ws) == 0 || strings.HasPrefix(ws[0], "#"):
		return nil
	case len(ws) < 2:
		return fmt.Errorf("want a time and a kind")
	case ws[0] == "process":
		return s.process(ws[1], ws[2:])
	}
	e := &activity.Event{Tier: activity.TierEBPF, NetNS: 4026531840}
	if e.Time, err = s.time(ws[0]); err != nil {
		return err
	}
	if e.Kind, err = activity.ParseKind(ws[1]); err != nil {
		return err
	}
	setRole(e)
	for _, w := range ws[2:] {
		if err := s.word(e, w); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return s.append(e)
}

func setRole(e *activity.Event) {
	switch e.Kind {
	case activity.KindListen, activity.KindBind, activity.KindBindFailed:
		e.Role = activity.RoleBinder
	case activity.KindConnect, activity.KindConnectFailed:
		e.Role = activity.RoleCreator
	case activity.KindAccept:
		e.Role, e.Flags = activity.RoleAcceptor, activity.FlagInbound
	case activity.KindSnapshot:
		e.Role, e.Provenance = activity.RoleHolder, activity.Snapshotted
	case activity.KindRecorderStart, activity.KindRecorderStop, activity.KindGap:
		e.Coverage = &activity.Coverage{From: e.Time, To: e.Time}
	}
}

func (s *storyteller) append(e *activity.Event) error {
	if e.Kind == activity.KindRecorderStart && s.journal != nil {
		if err := s.journal.Close(); err != nil {
			return err
		}
		s.journal = nil
	}
	if s.journal == nil {
		w, err := journal.Open(journal.Config{Dir: s.dir, HostName: "web1", BootID: "story"})
		if err != nil {
			return err
		}
		for _, set := range s.sets {
			w.Modules(set)
		}
		s.journal = w
	}
	s.journal.Append(e)
	return s.journal.Flush()
}

func (s *storyteller) time(w string) (int64, error) {
	if d, err := time.ParseDuration(w); err == nil {
		return s.now.Add(d).UnixNano(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, w)
	return t.UnixNano(), err
}

// word takes one word of an event.
func (s *storyteller) word(e *activity.Event, w string) (err error) {
	key, value, pair := strings.Cut(w, "=")
	switch {
	case strings.HasPrefix(w, "@"):
		if e.Process, err = s.who(w); err == nil {
			e.Owner = e.Process.Key
		}
	case !pair && (w == "tcp" || w == "udp"):
		e.Proto, err = activity.ParseProto(w)
	case !pair && e.Local.IsValid() && !e.Remote.IsValid() && strings.Contains(w, ":"):
		e.Remote, err = netip.ParseAddrPort(w)
	case !pair && strings.Contains(w, ":"):
		e.Local, err = netip.ParseAddrPort(w)
	case !pair:
		return s.mark(e, w)
	default:
		return s.pair(e, key, value)
	}
	return err
}

func (s *storyteller) mark(e *activity.Event, w string) error {
	switch w {
	case "autobind":
		e.Flags |= activity.FlagAutoBind
	case "inbound":
		e.Flags |= activity.FlagInbound
	case "reset":
		e.Flags |= activity.FlagReset
	case "inferred":
		e.Provenance = activity.Inferred
	case "unknown":
		e.Unknown |= activity.FactBytes | activity.FactDuration | activity.FactReason
	default:
		return fmt.Errorf("unknown word")
	}
	return nil
}

func (s *storyteller) pair(e *activity.Event, key, value string) (err error) {
	number := func() (n uint64) {
		n, err = strconv.ParseUint(value, 0, 64)
		return n
	}
	switch key {
	case "socket":
		e.Socket = number()
	case "netns":
		e.NetNS = uint32(number())
	case "rx":
		e.Rx = number()
	case "tx":
		e.Tx = number()
	case "after":
		var d time.Duration
		d, err = time.ParseDuration(value)
		e.Duration = int64(d)
	case "reason":
		e.Reason, err = activity.ParseReason(value)
	case "holder":
		e.Holder, err = s.who(value)
	case "with":
		var p *activity.Process
		p, err = s.who(value)
		e.Holders = append(e.Holders, p)
	case "from":
		e.Coverage.From, err = s.time(value)
	case "to":
		e.Coverage.To, err = s.time(value)
	case "why":
		e.Coverage.Reason = value
	case "lost":
		kind, n, _ := strings.Cut(value, ":")
		var k activity.Kind
		if k, err = activity.ParseKind(kind); err == nil {
			e.Coverage.Lost[k], err = strconv.ParseUint(n, 10, 64)
		}
	default:
		return fmt.Errorf("unknown word")
	}
	return err
}

func (s *storyteller) who(w string) (*activity.Process, error) {
	p := s.processes[strings.TrimPrefix(w, "@")]
	if p == nil {
		return nil, fmt.Errorf("no such process")
	}
	return p, nil
}

// process takes a process. One of a name that is there already replaces it.
func (s *storyteller) process(name string, ws []string) (err error) {
	n := uint32(len(s.processes) + 100)
	p := &activity.Process{Key: activity.ProcessKey{PID: n, Start: uint64(n) * 1e9}, Start: s.now.Add(-100 * time.Hour).UnixNano(), Name: name,
		User: "root", LoginUID: activity.NoID}
	var modules []activity.Module
	for _, w := range ws {
		key, value, _ := strings.Cut(w, "=")
		var n uint64
		switch key {
		case "pid":
			n, err = strconv.ParseUint(value, 10, 32)
			p.Key = activity.ProcessKey{PID: uint32(n), Start: n * 1e9}
		case "uid":
			n, err = strconv.ParseUint(value, 10, 32)
			p.UID, p.EUID = uint32(n), uint32(n)
		case "name":
			p.Name = value
		case "exe":
			p.Exe = value
		case "user":
			p.User, p.EffectiveUser = value, value
			p.UID, p.EUID = cmp.Or(p.UID, 1000), cmp.Or(p.EUID, 1000)
		case "unit":
			p.Unit.Name = value
		case "container":
			p.Container = activity.Container{Runtime: "docker", ID: strings.Repeat("c0ffee", 10), Name: value, Image: p.Container.Image}
		case "image":
			p.Container.Image = value
		case "args":
			p.Args = append(p.Args, value)
		case "longarg":
			p.Args = append(p.Args, strings.Repeat(value, 64<<10))
		case "sha256":
			p.ExeSHA256 = value
		case "package":
			p.ExePackage = value
		case "start":
			p.Start, err = s.time(value)
		case "deleted":
			p.Deleted = true
		case "module":
			file, pkg, _ := strings.Cut(value, "|")
			modules = append(modules, activity.Module{Path: file, Package: pkg, Base: uint64(len(modules)+1) << 12})
		case "parent":
			p.Ancestors = append(p.Ancestors, activity.ProcessRef{Key: activity.ProcessKey{PID: 1, Start: 1}, Name: value})
		default:
			err = fmt.Errorf("unknown word %q", w)
		}
		if err != nil {
			return err
		}
	}
	if modules != nil {
		h := fnv.New64()
		fmt.Fprint(h, modules)
		p.Modules = activity.ModuleSetID(h.Sum64())
		s.sets = append(s.sets, &activity.ModuleSet{ID: p.Modules, Modules: modules})
	}
	p.ID = activity.MakeProcessID([]byte("story"+p.Exe+p.User), p.Key, 0)
	s.processes[name] = p
	return nil
}

// runStory is story as a program.
func runStory() {
	if err := story(os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "story:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
