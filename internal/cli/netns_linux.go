package cli

import "golang.org/x/sys/unix"

// ownNetNS is the inode of this process's network namespace, 0 unknown.
func ownNetNS() uint32 {
	var st unix.Stat_t
	if unix.Stat("/proc/self/ns/net", &st) != nil {
		return 0
	}
	return uint32(st.Ino)
}
