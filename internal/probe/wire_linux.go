//go:build !plainwire

package probe

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// epoll is the wire of Linux: non-blocking sockets and their error queues, from
// which an ordinary user learns what a raw socket would see. A refused socket is
// used again: making and closing one costs as much as the refusal.
type epoll struct {
	fd     int
	waker  int // eventfd
	source uint16
	limit  int
	tries  []*job    // by socket
	spare  [2][]sock // refused and free to connect again: IPv4, IPv6
	ready  []event   // known already, told by the next poll
	again  []bool    // by socket: free to connect again
	udp    [2]int    // IPv4, IPv6; -1: not open
	zones  map[string]uint32
	sa4    unix.SockaddrInet4 // to connect to: no allocation a try
	sa6    unix.SockaddrInet6
	events [256]unix.EpollEvent
	queue  errQueue
	buf    [2048]byte

	mu     sync.Mutex
	closed bool // a wake may come after the end: its descriptor is somebody else's then
}

const spareMax = 256

// newWire returns a wire whose packets leave from the port source, unless it is 0.
func newWire(source uint16) (wire, error) {
	w := &epoll{fd: -1, waker: -1, source: source, udp: [2]int{-1, -1}, zones: map[string]uint32{}}
	var err error
	if w.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if w.waker, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		err = w.watch(w.waker, unix.EPOLLIN)
	}
	if err != nil {
		_ = w.close()
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	w.limit = descriptors()
	return w, nil
}

// descriptors is how many more files this process may open, less what the rest
// of it may need meanwhile. The Go runtime has raised the soft limit already.
func descriptors() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return minWindow
	}
	used := 64
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		used = len(open)
	}
	return max(int(min(r.Cur, 1<<20))-used-2*maxAsking-64, minWindow)
}

func (w *epoll) now() time.Time { return time.Now() }

func (w *epoll) budget() int { return w.limit }

func (w *epoll) watch(fd int, events uint32) error {
	return unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

func (w *epoll) connect(j *job) (sock, error) {
	a := j.target.Addr
	fd, fresh, err := w.socket(a)
	if err != nil {
		return noSock, err
	}
	err = unix.Connect(fd, w.address(a, j.target.Port))
	if err == unix.EINTR {
		err = unix.EINPROGRESS // the connection goes on, connect(2)
	}
	e, local := w.begun(fd, err)
	if local != nil {
		unix.Close(fd)
		return noSock, local
	}
	if fresh {
		if err := w.watch(fd, unix.EPOLLOUT|unix.EPOLLET); err != nil {
			unix.Close(fd)
			return noSock, fmt.Errorf("epoll: %w", err)
		}
	}
	if n := fd + 256 - len(w.tries); n > 256-1 {
		w.tries = append(w.tries, make([]*job, n)...)
		w.again = append(w.again, make([]bool, n)...)
	}
	w.tries[fd], w.again[fd] = j, false
	if e.sign != NoSign {
		w.tell(fd, e)
	}
	return sock(fd), nil
}

// begun tells what connect's return means: an outcome already (on a local link the
// answer may be there before it returns), a local failure, or neither as yet.
func (w *epoll) begun(fd int, err error) (event, error) {
	switch err {
	case unix.EINPROGRESS:
		return event{}, nil
	case nil:
		return event{sign: Accepted, at: time.Now()}, nil
	case unix.EADDRNOTAVAIL, unix.EAGAIN: // no port left
		if w.source != 0 {
			return event{}, sourceError(w.source, unix.EADDRINUSE)
		}
		return event{}, errBusy
	}
	if e := w.refused(fd, err); e.sign != LocalFail {
		return e, nil
	}
	return event{}, fmt.Errorf("connect: %w", err)
}

// refused tells why a connect failed with err.
func (w *epoll) refused(fd int, err error) event {
	e := event{at: time.Now()}
	if icmp, _, ok := w.queue.read(fd); ok {
		e.sign, e.icmp = ICMP, icmp
		return e
	}
	switch err {
	case unix.ECONNREFUSED:
		e.sign = Reset
	case unix.ECONNRESET, unix.EPIPE:
		e.sign = Accepted // and ended at once
	default:
		e.sign, e.err = LocalFail, fmt.Errorf("connect: %w", err)
	}
	return e
}

// socket is one to connect with: a spare one, or fresh.
func (w *epoll) socket(a netip.Addr) (fd int, fresh bool, err error) {
	v, domain := 0, unix.AF_INET
	if a.Is6() {
		v, domain = 1, unix.AF_INET6
	}
	if n := len(w.spare[v]); n > 0 {
		fd := int(w.spare[v][n-1])
		w.spare[v] = w.spare[v][:n-1]
		return fd, false, nil
	}
	fd, err = unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err == unix.EMFILE || err == unix.ENFILE || err == unix.ENOBUFS {
		return -1, false, errBusy
	}
	if err != nil {
		return -1, false, fmt.Errorf("socket: %w", err)
	}
	if err = recvErr(fd, v == 1); err == nil && w.source != 0 {
		err = w.bind(fd, a, true)
	}
	if err != nil {
		unix.Close(fd)
		return -1, false, err
	}
	return fd, true, nil
}

// bind gives a socket the source port. Those of one run may share it, as each
// connects to another port; no stranger's may, and none is robbed of it.
func (w *epoll) bind(fd int, a netip.Addr, share bool) error {
	if share {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return fmt.Errorf("source port %d: %w", w.source, err)
		}
	}
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(w.source)}
	if a.Is6() {
		sa = &unix.SockaddrInet6{Port: int(w.source)}
	}
	return sourceError(w.source, unix.Bind(fd, sa))
}

// address is a kernel's address, valid until the next.
func (w *epoll) address(a netip.Addr, port uint16) unix.Sockaddr {
	if a.Is4() {
		w.sa4.Addr, w.sa4.Port = a.As4(), int(port)
		return &w.sa4
	}
	w.sa6.Addr, w.sa6.Port, w.sa6.ZoneId = a.As16(), int(port), w.zone(a.Zone())
	return &w.sa6
}

// zone is the index of a link, named or already a number.
func (w *epoll) zone(name string) uint32 {
	if name == "" {
		return 0
	}
	z, ok := w.zones[name]
	if !ok {
		if i, err := net.InterfaceByName(name); err == nil {
			z = uint32(i.Index)
		} else if n, err := strconv.ParseUint(name, 10, 32); err == nil {
			z = uint32(n)
		}
		w.zones[name] = z
	}
	return z
}

func (w *epoll) send(t Target) error {
	fd, err := w.datagrams(t.Addr)
	if err != nil {
		return err
	}
	// A send returns the error that an earlier one met, once each: those are told
	// with the queue, and this datagram has not left.
	for range 64 {
		err = unix.Sendto(fd, nil, unix.MSG_DONTWAIT, w.address(t.Addr, t.Port))
		switch err {
		case nil:
			return nil
		case unix.EAGAIN, unix.ENOBUFS:
			return errBusy
		}
		if n := len(w.ready); w.drain(fd) == n {
			break // it is this one's own
		}
	}
	return fmt.Errorf("send: %w", err)
}

// drain reads the error queue of a UDP socket, and returns how many events are
// ready then.
func (w *epoll) drain(fd int) int {
	for {
		e, to, ok := w.queue.read(fd)
		if !ok {
			return len(w.ready)
		}
		w.ready = append(w.ready, event{udp: to, sock: noSock, sign: ICMP, icmp: e, at: time.Now()})
	}
}

// datagrams is the socket that all of an address family's datagrams leave from:
// the error queue and the reply name the port that they are about.
func (w *epoll) datagrams(a netip.Addr) (int, error) {
	i, domain := 0, unix.AF_INET
	if a.Is6() {
		i, domain = 1, unix.AF_INET6
	}
	if w.udp[i] >= 0 {
		return w.udp[i], nil
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err = recvErr(fd, a.Is6()); err == nil && w.source != 0 {
		err = w.bind(fd, a, false)
	}
	if err == nil {
		err = w.watch(fd, unix.EPOLLIN)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	// Room for the errors of a whole window; the kernel gives what rmem_max allows.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	w.udp[i] = fd
	return fd, nil
}

func (w *epoll) poll(until time.Time, each func(event)) error {
	n, err := unix.EpollWait(w.fd, w.events[:], w.timeout(until))
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("epoll: %w", err)
	}
	for _, ev := range w.events[:max(n, 0)] {
		switch fd := int(ev.Fd); fd {
		case w.waker:
			_, _ = unix.Read(fd, w.buf[:8]) // it counts wakes; one is enough
		default:
			if fd == w.udp[0] || fd == w.udp[1] {
				w.replies(fd)
			} else if fd < len(w.tries) && w.tries[fd] != nil {
				w.settle(fd, ev.Events)
			}
		}
	}
	for i := 0; i < len(w.ready); i++ { // each may drop others of them
		each(w.ready[i])
	}
	clear(w.ready)
	w.ready = w.ready[:0]
	return nil
}

// timeout is a time as epoll_wait wants it: milliseconds from now, -1 for ever.
func (w *epoll) timeout(until time.Time) int {
	if len(w.ready) > 0 {
		return 0
	}
	if until.IsZero() {
		return -1
	}
	return int(max(0, (time.Until(until)+time.Millisecond-1)/time.Millisecond))
}

// replies reads what came for a UDP socket.
func (w *epoll) replies(fd int) {
	w.drain(fd)
	for {
		_, from, err := unix.Recvfrom(fd, w.buf[:], unix.MSG_DONTWAIT)
		switch err {
		case nil:
			e := event{udp: addrPort(from), sock: noSock, sign: Reply, at: time.Now()}
			if e.udp.Port() == name(fd).Port() && local(e.udp.Addr()) {
				e.sign = NoSign // our own datagram, come to itself
				defer w.retire(fd)
			}
			w.ready = append(w.ready, e)
		case unix.EAGAIN:
			return
		default: // an error that a datagram of ours met
			w.drain(fd)
		}
	}
}

// retire closes a UDP socket that is in the way of a question about its own port:
// another one, of another port, asks from now on. What others met is told first:
// a local answer comes at once.
func (w *epoll) retire(fd int) {
	for i, u := range w.udp {
		if u == fd {
			w.drain(fd)
			w.udp[i] = -1
			unix.Close(fd)
		}
	}
}

// local says whether an address is this host's: whether a socket can have it.
func local(a netip.Addr) bool {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: a.AsSlice()})
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// settle finds out what became of a try. Connecting a failed socket again returns
// why it failed and makes it usable anew (__inet_stream_connect).
func (w *epoll) settle(fd int, flags uint32) {
	j := w.tries[fd]
	if flags&(unix.EPOLLERR|unix.EPOLLHUP) == 0 {
		if flags&unix.EPOLLOUT != 0 {
			w.tell(fd, event{sign: Accepted, at: time.Now()})
		}
		return
	}
	if icmp, _, ok := w.queue.read(fd); ok {
		w.tell(fd, event{sign: ICMP, icmp: icmp, at: time.Now()})
		return
	}
	switch err := unix.Connect(fd, w.address(j.target.Addr, j.target.Port)); err {
	case unix.EALREADY, unix.EINPROGRESS: // an old event
	case nil, unix.EISCONN:
		w.tell(fd, event{sign: Accepted, at: time.Now()})
	default:
		w.tell(fd, w.refused(fd, err))
	}
}

// tell makes an event of what became of a try.
func (w *epoll) tell(fd int, e event) {
	e.job, e.sock = w.tries[fd], sock(fd)
	switch e.sign {
	case Reset:
		w.again[fd] = true
	case Accepted:
		if w.ourselves(fd, e.job) {
			e.sign = NoSign
		}
	}
	w.ready = append(w.ready, e)
}

// ourselves says whether an accepted try met a socket of our own, itself or
// another try, which then is told too.
func (w *epoll) ourselves(fd int, j *job) bool {
	local := name(fd)
	if local.Addr() != j.target.Addr.WithZone("") {
		return false
	}
	if local.Port() == j.target.Port {
		return true
	}
	for other, o := range w.tries {
		if o != nil && other != fd && o.target.Addr == j.target.Addr && o.target.Port == local.Port() &&
			name(other).Port() == j.target.Port {
			w.ready = append(w.ready, event{job: o, sock: sock(other), at: time.Now()})
			return true
		}
	}
	return false
}

// name is a socket's local address.
func name(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(sa)
}

func (w *epoll) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	_, _ = unix.Write(w.waker, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // a full counter wakes as well
}

func (w *epoll) drop(c sock) {
	fd := int(c)
	v := 0
	if w.tries[fd].target.Addr.Is6() {
		v = 1
	}
	if w.again[fd] && len(w.spare[v]) < spareMax { // told already: no event of it is to come
		w.tries[fd] = nil
		w.spare[v] = append(w.spare[v], c)
		return
	}
	w.forget(c)
	// A RST instead of a FIN: nothing was said, and no TIME_WAIT keeps the port.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}

// forget lets no event of a socket be told any more.
func (w *epoll) forget(c sock) {
	w.tries[c] = nil
	for i := range w.ready {
		if w.ready[i].sock == c {
			w.ready[i] = event{}
		}
	}
}

func (w *epoll) take(c sock) (net.Conn, error) {
	w.forget(c)
	if err := unix.EpollCtl(w.fd, unix.EPOLL_CTL_DEL, int(c), nil); err != nil {
		unix.Close(int(c))
		return nil, fmt.Errorf("epoll: %w", err)
	}
	f := os.NewFile(uintptr(c), "connection")
	defer f.Close()
	return net.FileConn(f)
}

func (w *epoll) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for fd, j := range w.tries {
		if j != nil {
			unix.Close(fd)
		}
	}
	for _, c := range slices.Concat(w.spare[0], w.spare[1]) {
		unix.Close(int(c))
	}
	for _, fd := range []int{w.udp[0], w.udp[1], w.waker, w.fd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	return nil
}
