package enrich

import (
	"encoding/binary"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/proc"
)

// openCgroups opens the unified hierarchy, -1 if it is another file system.
func openCgroups(root string) int {
	var st unix.Statfs_t
	if unix.Statfs(root, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		return -1
	}
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

func closeCgroups(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}

// cgroupByHandle opens a cgroup by its number: the file handles of kernfs are
// its inode numbers (FILEID_KERNFS, Linux 5.5, fs/kernfs/mount.c). It needs
// CAP_DAC_READ_SEARCH. A cgroup that is gone is found to be "".
func cgroupByHandle(mount int, root string, id uint64) (path string, ok bool) {
	const fileidKernfs = 0xfe
	handle := unix.NewFileHandle(fileidKernfs, binary.NativeEndian.AppendUint64(nil, id))
	fd, err := unix.OpenByHandleAt(mount, handle, unix.O_PATH|unix.O_CLOEXEC)
	if err == unix.ESTALE {
		return "", true
	}
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink("/proc/self/fd/"+strconv.Itoa(fd), buf)
	if err != nil {
		return "", false
	}
	rel, ok := strings.CutPrefix(string(buf[:n]), root)
	if rel == "" {
		rel = "/"
	}
	return rel, ok
}

// walkCgroups calls found for every cgroup beneath root. Directories that
// vanish meanwhile are passed over.
func walkCgroups(root string, found func(id uint64, path string)) {
	visited := 0
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		if visited++; visited > maxCgroups {
			return filepath.SkipAll
		}
		info, err := d.Info()
		if err != nil {
			return filepath.SkipDir
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			rel := strings.TrimPrefix(path, root)
			if rel == "" {
				rel = "/"
			}
			found(st.Ino, rel)
		}
		return nil
	})
}

// hasChildren reports whether systemd's v1 hierarchy exists and is in use: a
// directory has a link for each child.
func hasChildren(f proc.FS) bool {
	dir := f.Cgroup
	if dir == "" {
		dir = "/sys/fs/cgroup"
	}
	var st unix.Stat_t
	return unix.Stat(filepath.Join(dir, "systemd"), &st) == nil && st.Nlink > 2
}
