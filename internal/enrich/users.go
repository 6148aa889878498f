package enrich

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Bounds of /etc/passwd. Larger directories of users are not kept in it.
const (
	maxPasswdFile = 8 << 20
	maxUsers      = 1 << 16
	maxUserName   = 256
)

// account is a line of passwd(5).
type account struct {
	name string
	uid  uint32
	home string
}

// users names user ids by /etc/passwd, which it looks at again at most once a
// second. Names from elsewhere (LDAP, DynamicUser=) are added by learn.
type users struct {
	path  string
	now   func() time.Time
	other *lru[uint32, string]

	mu      sync.Mutex
	checked time.Time         // mu
	stamp   stamp             // mu; of the file that names was read from
	names   map[uint32]string // mu
}

// stamp tells whether a file changed.
type stamp struct {
	mtime time.Time
	size  int64
}

func stampOf(path string) stamp {
	st, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{st.ModTime(), st.Size()}
}

func newUsers(root string, now func() time.Time) *users {
	return &users{path: filepath.Join(root, "etc/passwd"), now: now, other: newLRU[uint32, string](1024)}
}

// name returns the name of a user, "" unknown.
func (u *users) name(uid uint32) string {
	u.mu.Lock()
	u.refresh()
	name, ok := u.names[uid]
	u.mu.Unlock()
	if !ok {
		name, _ = u.other.get(uid)
	}
	return name
}

// learn remembers a name found elsewhere; "" remembers that there is none.
func (u *users) learn(uid uint32, name string) { u.other.put(uid, name) }

// asked reports whether a name, or the lack of one, was learnt.
func (u *users) asked(uid uint32) bool {
	_, ok := u.other.get(uid)
	return ok
}

// refresh is called with mu held.
func (u *users) refresh() {
	now := u.now()
	if u.names != nil && now.Sub(u.checked) < time.Second {
		return
	}
	u.checked = now
	s := stampOf(u.path)
	if u.names != nil && s == u.stamp {
		return
	}
	u.stamp = s
	u.names = make(map[uint32]string)
	data, _ := readBounded(u.path, maxPasswdFile) // without it nobody has a name
	eachAccount(data, func(a account) bool {
		if _, ok := u.names[a.uid]; !ok {
			u.names[a.uid] = a.name // the first line counts, as in getpwuid(3)
		}
		return len(u.names) < maxUsers
	})
}

// home returns a user's home directory, "" unknown. It reads the file each time.
func (u *users) home(uid uint32) (home string) {
	data, _ := readBounded(u.path, maxPasswdFile)
	eachAccount(data, func(a account) bool {
		if a.uid == uid {
			home = a.home
		}
		return home == ""
	})
	return home
}

// eachAccount calls yield for each good line of passwd(5) until it says no.
// Other lines are passed over, as the C library does.
func eachAccount(b []byte, yield func(account) bool) {
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		a, ok := parseAccount(line)
		if ok && !yield(a) {
			return
		}
	}
}

// parseAccount reads "name:password:uid:gid:comment:home:shell".
func parseAccount(line []byte) (account, bool) {
	name, rest, _ := bytes.Cut(line, []byte{':'})
	_, rest, _ = bytes.Cut(rest, []byte{':'})
	uid, rest, _ := bytes.Cut(rest, []byte{':'})
	n, err := strconv.ParseUint(string(uid), 10, 32)
	if err != nil || len(name) == 0 || len(name) > maxUserName || name[0] == '#' || name[0] == '+' || name[0] == '-' {
		return account{}, false // + and - are NIS's
	}
	a := account{name: string(name), uid: uint32(n)}
	if f := bytes.SplitN(rest, []byte{':'}, 4); len(f) >= 3 {
		a.home = string(f[2])
	}
	return a, true
}

// readBounded reads a regular file of at most limit bytes; what is beyond is
// left out.
func readBounded(path string, limit int64) ([]byte, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit))
}

// openRegular opens a file to read. Pipes and devices are refused without being
// opened, or without waiting if one is put in the file's place at the wrong
// moment: paths and their directories may be a user's own.
func openRegular(path string) (*os.File, error) {
	if st, err := os.Stat(path); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, os.ErrInvalid
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if st, err := file.Stat(); err != nil || !st.Mode().IsRegular() {
		file.Close()
		return nil, os.ErrInvalid
	}
	return file, nil
}
