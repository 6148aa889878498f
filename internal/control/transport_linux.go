package control

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unixListener removes its socket file when it is closed, if the file is still
// its own: a successor may have replaced it.
type unixListener struct {
	*net.UnixListener
	path string
	file os.FileInfo
}

func (l *unixListener) Close() error {
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
		os.Remove(l.path)
	}
	return l.UnixListener.Close()
}

// listen opens the socket. A lock on the directory keeps two recorders that
// start together from each taking the other's new socket for a stale one.
func listen(path string) (net.Listener, func(net.Conn) error, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, nil, fmt.Errorf("control socket: %w", err)
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("control socket: lock %s: %w", dir, err)
	}
	defer unlock()
	if err := clearStale(path); err != nil {
		return nil, nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, nil, fmt.Errorf("control socket: %w", explainLength(path, err))
	}
	l.SetUnlinkOnClose(false)
	// The umask has made the file no wider than this until now: connect(2)
	// asks for write permission.
	err = os.Chmod(path, 0o660)
	file, statErr := os.Lstat(path)
	if err = errors.Join(err, statErr); err != nil {
		l.Close()
		os.Remove(path)
		return nil, nil, fmt.Errorf("control socket: %w", err)
	}
	return &unixListener{UnixListener: l, path: path, file: file}, func(c net.Conn) error { return authorize(c, path) }, nil
}

// lockDir takes a lock that needs no file of its own: flock(2) works on a
// directory, and ends with the process whatever becomes of it.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(d.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return func() { d.Close() }, nil
}

// clearStale removes the socket file of a recorder that is no more.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("a file that is no socket is in the way")
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		defer c.Close()
		if cred, err := peer(c); err == nil {
			return fmt.Errorf("%w: pid %d", ErrInUse, cred.Pid)
		}
		return ErrInUse
	}
	switch {
	case errors.Is(err, unix.EAGAIN): // alive, with a full queue
		return ErrInUse
	case !errors.Is(err, unix.ECONNREFUSED):
		return err
	}
	return os.Remove(path)
}

// explainLength says why the kernel calls a long path an invalid argument.
func explainLength(path string, err error) error {
	if most := len(unix.RawSockaddrUnix{}.Path) - 1; len(path) > most {
		return fmt.Errorf("path %q is %d bytes long, a socket's can be %d: %w", path, len(path), most, err)
	}
	return err
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return nil, fmt.Errorf("%w: nothing listens on %s; start it with: portreporter record", ErrNotRunning, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: %s; %s", ErrPermission, path, hint(path))
	case errors.Is(err, unix.EAGAIN): // unix(7): its queue is full
		return nil, fmt.Errorf("%w: many wait for it already: it is stopped, or hangs", ErrNoAnswer)
	}
	return nil, explainLength(path, err)
}

// admit gives the socket file to a group. Its own user may do so without
// privilege for a group that it is a member of (chown(2)).
func admit(l net.Listener, gid int) error {
	path := l.Addr().String()
	if err := os.Chown(path, -1, gid); err != nil {
		return err
	}
	return letEnter(filepath.Dir(path), gid)
}

// letEnter gives a directory to a group that could not enter it otherwise, if
// that takes it from nobody: it must be this process's own, and so its group.
func letEnter(dir string, gid int) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	switch {
	case st.Mode&0o001 != 0, int(st.Gid) == gid && st.Mode&0o010 != 0:
		return nil
	case int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid() || st.Mode&0o010 == 0:
		return fmt.Errorf("its members may not enter %s", dir)
	}
	return os.Chown(dir, -1, gid)
}

// hint names who may connect.
func hint(path string) string {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || st.Gid == 0 {
		return "run this as root"
	}
	return fmt.Sprintf("run this as root or as a member of group %d", st.Gid)
}

// authorize admits root, the recorder's own user, and members of the socket
// file's group. The file's mode asks the same at connect(2); this holds when
// the mode was widened, and for file systems that ignore it.
func authorize(c net.Conn, path string) error {
	cred, err := peer(c)
	if err != nil {
		return fmt.Errorf("%w: peer credentials: %w", ErrPermission, err)
	}
	if cred.Uid == 0 || int(cred.Uid) == os.Geteuid() {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fmt.Errorf("%w: %w", ErrPermission, err)
	}
	groups, err := peerGroups(c)
	if err != nil {
		return fmt.Errorf("%w: peer groups: %w", ErrPermission, err)
	}
	if !admits(st.Gid, cred.Gid, groups) {
		return fmt.Errorf("%w: uid %d; %s", ErrPermission, cred.Uid, hint(path))
	}
	return nil
}

// admits reports whether a peer in these groups is a member of the socket's.
func admits(socket, primary uint32, supplementary []uint32) bool {
	return primary == socket || slices.Contains(supplementary, socket)
}

// peer returns SO_PEERCRED (unix(7)): who connected, or on a client's end who
// listens.
func peer(c net.Conn) (cred *unix.Ucred, err error) {
	e := withFD(c, func(fd int) { cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return cred, errors.Join(e, err)
}

// peerGroups returns SO_PEERGROUPS: the supplementary groups that the peer had
// when it connected (Linux 4.13).
func peerGroups(c net.Conn) (groups []uint32, err error) {
	b := make([]byte, 4*65536) // NGROUPS_MAX
	n := uint32(len(b))
	e := withFD(c, func(fd int) {
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
		if errno != 0 {
			err = errno
		}
	})
	if err = errors.Join(e, err); err != nil {
		return nil, err
	}
	for b = b[:n]; len(b) >= 4; b = b[4:] {
		groups = append(groups, binary.NativeEndian.Uint32(b))
	}
	return groups, nil
}

// withFD keeps the descriptor open while f uses it, and off the file's blocking
// mode, which File would change.
func withFD(c net.Conn, f func(fd int)) error {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("not a Unix socket: %T", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}
