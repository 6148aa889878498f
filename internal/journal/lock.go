package journal

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// LockedError says that another recorder has the journal.
type LockedError struct {
	Dir string
	PID int // of the other recorder; 0 unknown
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("open journal: %s is in use by another recorder", e.Dir)
	}
	return fmt.Sprintf("open journal: %s is in use by the recorder with pid %d", e.Dir, e.PID)
}

// lock takes the directory for this process until the file is closed, by any
// end of the process. The file holds the pid of who has, or last had, the lock.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	taken, err := tryLock(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open journal: lock: %w", err)
	}
	if !taken {
		b, _ := io.ReadAll(io.LimitReader(f, 32))
		f.Close()
		pid, _ := strconv.Atoi(strings.TrimSpace(string(b))) // 0 when it is just being written
		return nil, &LockedError{Dir: dir, PID: pid}
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open journal: lock: %w", err)
	}
	return f, nil
}
