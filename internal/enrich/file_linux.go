package enrich

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/proc"
)

// statFile returns the identity of what a path names.
func statFile(path string) (proc.FileID, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return fileID(&st), err
}

// statOpen returns the identity of an open file.
func statOpen(f *os.File) (proc.FileID, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	return fileID(&st), err
}

func fileID(st *unix.Stat_t) proc.FileID {
	return proc.FileID{Dev: st.Dev, Inode: st.Ino, Size: st.Size, MTime: st.Mtim.Nano(), CTime: st.Ctim.Nano()}
}
