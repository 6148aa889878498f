package cli

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// ERROR_NO_DATA, what a write to a pipe without reader gives.
const errorNoData = syscall.Errno(232)

func isBrokenPipe(err error) bool {
	return errors.Is(err, errorNoData) || errors.Is(err, syscall.ERROR_BROKEN_PIPE)
}

func servicesFile() string {
	return filepath.Join(os.Getenv("SystemRoot"), "System32", "drivers", "etc", "services")
}
