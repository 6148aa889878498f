package cli

import "golang.org/x/sys/unix"

// freeBytes tells how much this user may still write where dir is; 0 unknown.
func freeBytes(dir string) uint64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0
	}
	return st.Bavail * uint64(st.Bsize)
}
