//go:build amd64 || arm64

package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"unsafe"

	"github.com/cilium/ebpf/link"

	"github.com/portreporter/portreporter/internal/activity"
)

// scanner runs the iterators: they walk the kernel's tables in one pass for
// all network namespaces.
type scanner struct {
	heldIter, tcpIter, udpIter *link.Iter
	seedIter                   *link.Iter // nil: sockets that no hook has met stay unmet
	buf                        *bufio.Reader
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
	s.tcpIter = open("live_tcp", "tsocks")
	s.udpIter = open("live_udp", "usocks")
	s.buf = newScanBuffer()
	return s, err
}

func newScanBuffer() *bufio.Reader { return bufio.NewReaderSize(nil, 64<<10) }

func (s *scanner) close() error {
	var errs []error
	for _, it := range []*link.Iter{s.heldIter, s.seedIter, s.tcpIter, s.udpIter} {
		if it != nil {
			errs = append(errs, it.Close())
		}
	}
	return errors.Join(errs...)
}

// lines runs one iterator and hands over each of its records of size bytes.
func (s *scanner) lines(it *link.Iter, size int, line func([]byte) bool) error {
	r, err := it.Open()
	if err != nil {
		return fmt.Errorf("run iterator: %w", err)
	}
	defer r.Close()
	s.buf.Reset(r)
	for {
		b, err := s.buf.Peek(size)
		if err == io.EOF && len(b) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read iterator: %w", err)
		}
		if !line(b) {
			return nil
		}
		_, _ = s.buf.Discard(size)
	}
}

// held returns every socket that some process has open, once, with all its
// holders, and their places by cookie. MPTCP sockets that were there before the
// hooks get their cookie on the way where they can.
//
// The kernel lists by process, not by socket, so all of it is kept until the
// end: about 300 bytes a socket.
func (s *scanner) held(offset int64) (socks []activity.Socket, index map[uint64]int32, err error) {
	socks, index, unmet, err := s.files(offset)
	if err != nil || len(unmet) == 0 || s.seedIter == nil {
		return socks, index, err
	}
	for ns := range unmet {
		// Another namespace may be closed to us; its old MPTCP sockets then stay without a cookie.
		_ = inNetNS(ns, func() error { return s.lines(s.seedIter, 1, func([]byte) bool { return true }) })
	}
	socks, index, _, err = s.files(offset)
	return socks, index, err
}

// files is one pass over all processes' files. unmet are the network
// namespaces of sockets without a cookie, each with a process that is in it.
func (s *scanner) files(offset int64) (socks []activity.Socket, index map[uint64]int32, unmet map[netNS]struct{}, err error) {
	index = map[uint64]int32{}
	byInode := map[uint64]int32{} // those without a cookie
	unmet = map[netNS]struct{}{}
	err = s.lines(s.heldIter, int(unsafe.Sizeof(recorderRecHeld{})), func(b []byte) bool {
		r, err := record[recorderRecHeld](b)
		if err != nil {
			return false
		}
		holder := activity.ProcessKey{PID: r.Tgid, Start: r.Start}
		at, key := index, r.Cookie
		if key == 0 {
			at, key = byInode, r.Inode
		}
		if i, ok := at[key]; ok {
			socks[i].Holders = addHolder(socks[i].Holders, holder)
			return true
		}
		if r.Cookie == 0 {
			unmet[netNS{r.Netns, r.Tgid}] = struct{}{}
		}
		at[key] = int32(len(socks))
		socks = append(socks, heldSocket(r, holder, offset))
		return true
	})
	return socks, index, unmet, err
}

func addHolder(hs []activity.ProcessKey, k activity.ProcessKey) []activity.ProcessKey {
	for _, h := range hs {
		if h == k {
			return hs
		}
	}
	return append(hs, k)
}

func heldSocket(r *recorderRecHeld, holder activity.ProcessKey, offset int64) activity.Socket {
	k := activity.Socket{
		Cookie: r.Cookie, Proto: activity.Proto(r.Proto), NetNS: r.Netns, Inode: r.Inode, UID: r.Uid, Tier: activity.TierEBPF,
		State: state(r.Proto, r.State), MPTCP: r.Flags != 0, Backlog: r.Backlog, Role: activity.RoleHolder,
		Owner: holder, Holders: []activity.ProcessKey{holder},
	}
	if r.Owner != 0 {
		k.Owner = activity.ProcessKey{PID: r.Owner, Start: r.OwnerStart}
	}
	since(&k, r.Birth, offset)
	addresses(&k, r.Family, &r.Laddr, r.Lport, &r.Raddr, r.Rport)
	return k
}

// live yields every socket of proto that has storage; it reports false when
// yield said stop. The record is valid during the call only.
func (s *scanner) live(offset int64, proto activity.Proto, yield func(*activity.Socket, *recorderRecLive) bool) (more bool, err error) {
	it := s.tcpIter
	if proto == activity.UDP {
		it = s.udpIter
	}
	more = true
	var k activity.Socket
	err = s.lines(it, int(unsafe.Sizeof(recorderRecLive{})), func(b []byte) bool {
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
	})
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
