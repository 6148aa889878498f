//go:build amd64 || arm64

package bpf

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
)

// scanner runs the iterators: they walk the kernel's tables in one pass for
// all network namespaces.
type scanner struct {
	heldIter, goneIter *link.Iter
	tcpIters, udpIters []*link.Iter
	seedIter           *link.Iter // nil: sockets that no hook has met stay unmet
	pieces             pieces
}

func newScanner(l *loaded) (s scanner, err error) {
	open := func(program, storage string) *link.Iter {
		p := l.progs[program]
		if p == nil {
			err = errors.Join(err, fmt.Errorf("iterator %s: %s", program, l.hookError(program)))
			return nil
		}
		it, e := link.AttachIter(link.IterOptions{Program: p, Map: l.maps.Maps[storage]})
		if e != nil {
			err = errors.Join(err, fmt.Errorf("iterator %s: %w", program, e))
		}
		return it
	}
	s.heldIter = open("held", "")
	s.seedIter = open("seed_tcp", "")
	s.tcpIters = []*link.Iter{open("live_tcp", "tsocks"), open("live_spill", "tspill")}
	s.udpIters = []*link.Iter{open("live_udp", "usocks")}
	s.goneIter = open("gone_tcp", "tsocks")
	return s, err
}

func (s *scanner) close() error {
	var errs []error
	for _, it := range slices.Concat([]*link.Iter{s.heldIter, s.goneIter, s.seedIter}, s.tcpIters, s.udpIters) {
		if it != nil {
			errs = append(errs, it.Close())
		}
	}
	return errors.Join(errs...)
}

// lines runs one iterator and hands over each of its records of size bytes,
// until line returns false.
func (s *scanner) lines(it *link.Iter, size int, line func([]byte) bool) error {
	r, err := it.Open()
	if err != nil {
		return fmt.Errorf("run iterator: %w", err)
	}
	defer r.Close()
	if err := s.pieces.each(r, size, line); err != nil {
		return fmt.Errorf("read iterator: %w", err)
	}
	return nil
}

// pieces are what an iterator's output is read into by turns: one is worked on
// while the kernel fills the other, as it takes as long for a socket as we do.
type pieces [2][]byte

// pieceBytes is twice what the kernel hands out at a time.
const pieceBytes = 64 << 10

// each reads r to its end and hands over each record of size bytes, until line
// returns false. Records are valid during the call only.
func (p *pieces) each(r io.Reader, size int, line func([]byte) bool) error {
	free, full := make(chan []byte, len(p)), make(chan []byte, len(p))
	for i := range p {
		if p[i] == nil {
			p[i] = make([]byte, pieceBytes)
		}
		whole := pieceBytes / size * size
		free <- p[i][:whole:whole]
	}
	var failed error // read when full is closed
	go func() {
		defer close(full)
		for b := range free {
			n, err := readFull(r, b)
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
				failed = err
			}
			full <- b[:n]
			if err != nil {
				return
			}
		}
	}()
	more := true
	for b := range full {
		rest := b
		for ; more && len(rest) >= size; rest = rest[size:] {
			if more = line(rest[:size]); !more {
				close(free)
			}
		}
		if more && len(rest) > 0 {
			return errors.Join(failed, io.ErrUnexpectedEOF) // only the last is not whole
		}
		if more {
			free <- b[:cap(b)]
		}
	}
	return failed
}

// readFull is io.ReadFull that goes on after EAGAIN: the kernel gives up for the
// moment when a million files in a row were no sockets (bpf_seq_read).
func readFull(r io.Reader, b []byte) (n int, err error) {
	for {
		m, err := io.ReadFull(r, b[n:])
		if n += m; !errors.Is(err, unix.EAGAIN) {
			if err == io.EOF && n > 0 {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
	}
}

// held returns every socket that some process has open, once, with all its
// holders. MPTCP sockets that were there before the hooks get their cookie on
// the way where they can.
//
// The kernel lists by process, not by socket, so all of it is kept until the
// end: about 400 bytes a socket.
func (s *scanner) held(offset int64) (*heldSockets, error) {
	h, err := s.files(offset)
	if err != nil || len(h.unmet) == 0 || s.seedIter == nil {
		return h, err
	}
	for ns, of := range h.unmet {
		// Another namespace may be closed to us; its old MPTCP sockets then stay without a cookie.
		_ = inNetNS(ns, of, func() error { return s.lines(s.seedIter, 1, func([]byte) bool { return true }) })
	}
	return s.files(offset)
}

// files is one pass over all processes' files.
func (s *scanner) files(offset int64) (*heldSockets, error) {
	h := &heldSockets{byCookie: map[uint64]*activity.Socket{}, byInode: map[uint64]*activity.Socket{}, unmet: map[uint32]heldFile{}}
	err := s.lines(s.heldIter, int(unsafe.Sizeof(recorderRecHeld{})), func(b []byte) bool {
		r, err := record[recorderRecHeld](b)
		if err != nil {
			return false
		}
		h.add(r, offset)
		return true
	})
	return h, err
}

// slabSize is how many sockets are allocated together: growing one list of
// 50,000 would copy each of them twenty times over.
const slabSize = 512

// heldSockets are the sockets of one pass, in the kernel's order.
type heldSockets struct {
	slabs    [][]activity.Socket
	holders  []activity.ProcessKey // room for the first holder of each socket of the last slab
	byCookie map[uint64]*activity.Socket
	byInode  map[uint64]*activity.Socket // those without a cookie
	unmet    map[uint32]heldFile         // the network namespaces of those that no hook has met, each with one of them
}

func (h *heldSockets) add(r *recorderRecHeld, offset int64) {
	holder := activity.ProcessKey{PID: r.Tgid, Start: r.Start}
	at, key := h.byCookie, r.Cookie
	if key == 0 {
		at, key = h.byInode, r.Inode
	}
	if k := at[key]; k != nil {
		k.Holders = addHolder(k.Holders, holder)
		return
	}
	if r.Flags&uint8(recorderRecHeldBitHELD_UNMET) != 0 {
		h.unmet[r.Netns] = heldFile{r.Tgid, r.Fd}
	}
	last := len(h.slabs) - 1
	if last < 0 || len(h.slabs[last]) == slabSize {
		h.slabs = append(h.slabs, make([]activity.Socket, 0, slabSize))
		h.holders = make([]activity.ProcessKey, slabSize)
		last++
	}
	n := len(h.slabs[last])
	h.slabs[last] = h.slabs[last][:n+1]
	k := &h.slabs[last][n]
	h.holders[n] = holder
	fillHeld(k, r, h.holders[n:n+1:n+1], offset)
	at[key] = k
}

// each yields every socket until yield returns false, and reports whether it
// never did.
func (h *heldSockets) each(yield func(*activity.Socket) bool) bool {
	for _, slab := range h.slabs {
		for i := range slab {
			if !yield(&slab[i]) {
				return false
			}
		}
	}
	return true
}

func addHolder(hs []activity.ProcessKey, k activity.ProcessKey) []activity.ProcessKey {
	for _, h := range hs {
		if h == k {
			return hs
		}
	}
	return append(hs, k)
}

func fillHeld(k *activity.Socket, r *recorderRecHeld, holders []activity.ProcessKey, offset int64) {
	*k = activity.Socket{
		Cookie: r.Cookie, Proto: activity.Proto(r.Proto), NetNS: r.Netns, Inode: r.Inode, UID: r.Uid, Tier: activity.TierEBPF,
		State: state(r.Proto, r.State), MPTCP: r.Flags&uint8(recorderRecHeldBitHELD_MPTCP) != 0, Backlog: r.Backlog, Role: activity.RoleHolder,
		Owner: holders[0], Holders: holders,
	}
	if r.Owner != 0 {
		k.Owner = activity.ProcessKey{PID: r.Owner, Start: r.OwnerStart}
	}
	since(k, r.Birth, offset)
	addresses(k, r.Family, &r.Laddr, r.Lport, &r.Raddr, r.Rport)
}

// live yields every socket of proto that the hooks know and that is alive; it
// reports false when yield said stop. The record is valid during the call only.
func (s *scanner) live(offset int64, proto activity.Proto, yield func(*activity.Socket, *recorderRecLive) bool) (more bool, err error) {
	its := s.tcpIters
	if proto == activity.UDP {
		its = s.udpIters
	}
	more = true
	var k activity.Socket
	line := func(b []byte) bool {
		r, err := record[recorderRecLive](b)
		if err != nil {
			return false
		}
		k = activity.Socket{
			Cookie: r.Cookie, Proto: proto, NetNS: r.Netns, UID: r.Uid, Tier: activity.TierEBPF, State: state(r.Proto, r.State),
			Backlog: r.Backlog, Owner: activity.ProcessKey{PID: r.Tgid, Start: r.Start},
		}
		if k.State == activity.StateListen || proto == activity.UDP {
			k.Role = activity.RoleBinder
		} else if r.Child == 1 {
			k.Role = activity.RoleListener
		}
		since(&k, r.Birth, offset)
		addresses(&k, r.Family, &r.Laddr, r.Lport, &r.Raddr, r.Rport)
		more = yield(&k, r)
		return more
	}
	for _, it := range its {
		if err == nil && more {
			err = s.lines(it, int(unsafe.Sizeof(recorderRecLive{})), line)
		}
	}
	return more, err
}

func state(proto, s uint8) activity.State {
	if activity.Proto(proto) == activity.UDP {
		if s == tcpEstablished {
			return activity.StateEstablished
		}
		return activity.StateBound
	}
	return activity.TCPState(s)
}

func since(k *activity.Socket, birth uint64, offset int64) {
	if birth != 0 {
		k.SinceBoot, k.Since = birth, int64(birth)+offset
	}
}

func addresses(k *activity.Socket, family uint8, laddr *[16]uint8, lport uint16, raddr *[16]uint8, rport uint16) {
	var m1, m2 bool
	k.Local, m1 = addrPort(family, laddr, lport)
	k.Remote, m2 = addrPort(family, raddr, rport)
	k.Mapped = m1 || m2
	if rport == 0 && k.Remote.Addr().IsUnspecified() {
		k.Remote = netip.AddrPort{}
	}
}
