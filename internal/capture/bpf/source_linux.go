//go:build amd64 || arm64

package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
)

// Source reads what the kernel's programs record. One goroutine uses it.
type Source struct {
	*loaded
	ring  *ringbuf.Reader
	rec   ringbuf.Record
	dec   decoder
	scan  scanner
	flows flowTable
	held  listens
	swept sweeper
	woken bool                   // by Wake, not yet told
	queue []activity.Observation // made here: ends of flows, ports found late
	next  int                    // first unread of queue
}

// Open loads and attaches the programs. It needs CAP_BPF, CAP_PERFMON and
// CAP_NET_ADMIN, and a kernel with BTF (5.15 or later); what a kernel lacks
// beyond that is told by Info. The caller must Close the source.
func Open(cfg Config) (*Source, error) {
	cfg = cfg.withDefaults()
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		return nil, fmt.Errorf("%w: the kernel has no type information: %w", ErrUnsupported, err)
	}
	// Needed before 5.11 only; without CAP_SYS_RESOURCE it fails, and loading says what it lacks.
	_ = rlimit.RemoveMemlock()
	l, err := load(cfg)
	if err != nil {
		return nil, err
	}
	s := &Source{loaded: l, flows: newFlowTable(cfg.FlowIdle)}
	if s.ring, err = ringbuf.NewReader(l.maps.Maps["ring"]); err != nil {
		return nil, errors.Join(fmt.Errorf("open the ring: %w", err), l.close())
	}
	if s.scan, err = newScanner(l); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the boot id: %w", err), s.Close())
	}
	s.dec.boot = bytes.TrimSpace(boot)
	s.setClock()
	return s, nil
}

// setClock reads how far the wall clock is from the boot clock now.
func (s *Source) setClock() {
	s.dec.offset = wallOffset()
}

func wallOffset() int64 {
	var boot, wall unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot)
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &wall)
	return wall.Nano() - boot.Nano()
}

func bootNow() uint64 {
	var boot unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot)
	return uint64(boot.Nano())
}

// SetDeadline bounds the wait of Read.
func (s *Source) SetDeadline(t time.Time) {
	s.setClock()
	s.ring.SetDeadline(t)
}

// Read overwrites o with the next observation. It waits until one comes or
// the deadline passes (os.ErrDeadlineExceeded); os.ErrClosed after Close.
// A record that does not decode is an error of its own, and reading may go on.
func (s *Source) Read(o *activity.Observation) error {
	for {
		if s.next < len(s.queue) {
			*o = s.queue[s.next]
			if s.next++; s.next == len(s.queue) {
				s.queue, s.next = s.queue[:0], 0
			}
			return nil
		}
		if s.woken {
			s.woken = false
			return os.ErrDeadlineExceeded
		}
		if err := s.ring.ReadInto(&s.rec); err != nil {
			s.woken = errors.Is(err, ringbuf.ErrFlushed)
			if (s.woken || errors.Is(err, os.ErrDeadlineExceeded)) && s.idle() || s.woken {
				continue
			}
			return err
		}
		if err := s.dec.decode(s.rec.RawSample, o); err != nil {
			return err
		}
		if s.accept(o) {
			return nil
		}
	}
}

// idle does what waits for the ring to be empty; true: there is more to read.
func (s *Source) idle() bool {
	s.queue = append(s.queue, s.held.expire(bootNow(), s.findPort)...)
	s.sweepFlows(false)
	return len(s.queue) > 0
}

// accept does what the source keeps account of itself, and reports whether o
// is for the reader at once.
func (s *Source) accept(o *activity.Observation) bool {
	if len(s.held) > 0 {
		if told := s.held.settle(o, s.findPort); len(told) > 0 {
			s.queue = append(s.queue, told...)
			if s.note(o) {
				s.queue = append(s.queue, *o)
			}
			return false
		}
	}
	return s.note(o)
}

func (s *Source) note(o *activity.Observation) bool {
	if o.What != activity.WhatEvent {
		return true
	}
	e := &o.Event
	switch e.Kind {
	case activity.KindListen:
		if !s.trampolines {
			s.held.hold(o)
			return false
		}
	case activity.KindFlow:
		s.flows.begin(e)
	case activity.KindFlowEnd:
		return s.flows.end(e)
	case activity.KindUnbind:
		return s.endFlows(o)
	}
	return true
}

// findPort looks up the port of a listener that had none yet when it was told.
func (s *Source) findPort(e *activity.Event) (found bool) {
	_, _ = s.scan.live(s.dec.offset, activity.TCP, func(k *activity.Socket, _ *recorderRecLive) bool {
		if k.Cookie == e.Socket && k.Local.Port() != 0 {
			e.Local, found = k.Local, true
		}
		return !found
	})
	return found
}

// Sockets yields every socket open now in all network namespaces, with its
// holders; asOf is the CLOCK_BOOTTIME ns at which the scan began. Sockets that
// nobody holds (accept queues, connections that outlive their process) come
// after, with no holders. Multipath TCP sockets of before in a network namespace
// that is closed to us have no cookie, by which all else is told apart, and are
// left out.
func (s *Source) Sockets(yield func(*activity.Socket) bool) (asOf uint64, err error) {
	s.setClock()
	asOf = bootNow()
	held, err := s.scan.held(s.dec.offset)
	if err != nil || !held.each(func(k *activity.Socket) bool { return k.Cookie == 0 || yield(k) }) {
		return asOf, err
	}
	for _, proto := range []activity.Proto{activity.TCP, activity.UDP} {
		more, err := s.scan.live(s.dec.offset, proto, func(k *activity.Socket, _ *recorderRecLive) bool {
			return held.byCookie[k.Cookie] != nil || yield(k)
		})
		if err != nil || !more {
			return asOf, err
		}
	}
	return asOf, s.seeded()
}

// seeded tells the hooks that what they do not know now was missed, and not
// there before them.
func (s *Source) seeded() error {
	if err := s.maps.Variables["seeded"].Set(uint32(1)); err != nil {
		return fmt.Errorf("set seeded: %w", err)
	}
	return nil
}

// Live yields every socket open now without looking for holders, which costs
// a fraction of Sockets. Sockets that were open before the source was, and
// that Sockets has not met, are not among them.
func (s *Source) Live(yield func(*activity.Socket) bool) (asOf uint64, err error) {
	s.setClock()
	s.sweepFlows(true) // a socket whose unbind was lost leaves its flows behind
	if err := s.swept.sweep(time.Now(), &s.scan, s.maps.Maps["tsocks"]); err != nil {
		s.swept.failed++ // the table fills, and what does not fit costs more
	}
	asOf = bootNow()
	for _, proto := range []activity.Proto{activity.TCP, activity.UDP} {
		more, err := s.scan.live(s.dec.offset, proto, func(k *activity.Socket, _ *recorderRecLive) bool { return yield(k) })
		if err != nil || !more {
			return asOf, err
		}
	}
	return asOf, nil
}

// Lost returns how many events of each kind the kernel could not hand over
// since Open. KindNone counts those of unknown kind.
func (s *Source) Lost() (lost [activity.NumKinds]uint64, err error) {
	kinds := map[recorderRecType]activity.Kind{
		recorderRecTypeREC_LISTEN: activity.KindListen, recorderRecTypeREC_UNLISTEN: activity.KindUnlisten,
		recorderRecTypeREC_CONNECT: activity.KindConnect, recorderRecTypeREC_CONNECT_FAIL: activity.KindConnectFailed,
		recorderRecTypeREC_ACCEPT: activity.KindAccept, recorderRecTypeREC_CLOSE: activity.KindClose,
		recorderRecTypeREC_BIND: activity.KindBind, recorderRecTypeREC_UNBIND: activity.KindUnbind,
		recorderRecTypeREC_FLOW: activity.KindFlow, recorderRecTypeREC_FLOW_END: activity.KindFlowEnd,
		recorderRecTypeREC_BIND_FAIL: activity.KindBindFailed, recorderRecTypeREC_KNOCK: activity.KindKnock,
	}
	for t, k := range kinds {
		n, err := s.counter(recorderRecCountCOUNT_LOST + recorderRecCount(t))
		if err != nil {
			return lost, err
		}
		lost[k] = n
	}
	lost[activity.KindNone], err = s.counter(recorderRecCountCOUNT_STORE_FAIL)
	return lost, err
}

func (s *Source) counter(i recorderRecCount) (sum uint64, err error) {
	var per []uint64
	if err := s.maps.Maps["counts"].Lookup(uint32(i), &per); err != nil {
		return 0, fmt.Errorf("read counter %d: %w", i, err)
	}
	for _, v := range per {
		sum += v
	}
	return sum, nil
}

// Counters returns what the programs count of themselves, by name: process
// records lost, sockets without owner, second chances taken, and the times
// that the kernel did not run a program because it was running already.
func (s *Source) Counters() map[string]uint64 {
	out := map[string]uint64{}
	for name, i := range map[string]recorderRecCount{
		"process_records_lost": recorderRecCountCOUNT_LOST + recorderRecCount(recorderRecTypeREC_PROC),
		"store_failed":         recorderRecCountCOUNT_STORE_FAIL, "unowned": recorderRecCountCOUNT_UNOWNED,
		"args_unreadable": recorderRecCountCOUNT_ARG_FAULT, "paths_cut": recorderRecCountCOUNT_PATH_CUT,
		"recovered": recorderRecCountCOUNT_RECOVERED, "spilled": recorderRecCountCOUNT_SPILLED,
	} {
		if n, err := s.counter(i); err == nil {
			out[name] = n
		}
	}
	out["sweeps_failed"] = s.swept.failed
	for _, p := range s.progs {
		if st, err := p.Stats(); err == nil {
			out["recursion_skipped"] += st.RecursionMisses
		}
	}
	return out
}

// Info tells the hook set, each hook, and the kinds that cannot be seen here.
func (s *Source) Info() activity.SourceInfo { return s.info }

// Close detaches and unloads everything. Read returns os.ErrClosed after it.
func (s *Source) Close() error {
	var errs []error
	if s.ring != nil {
		errs = append(errs, s.ring.Close())
	}
	errs = append(errs, s.scan.close(), s.loaded.close())
	return errors.Join(errs...)
}

// Wake makes a Read that waits return os.ErrDeadlineExceeded. It may be called
// from another goroutine.
func (s *Source) Wake() { _ = s.ring.Flush() }
