//go:build !linux

package capture

import (
	"fmt"
	"runtime"

	"github.com/portreporter/portreporter/internal/activity"
)

func open(Config) (Source, error) {
	return nil, fmt.Errorf("%w: %s", ErrUnsupported, runtime.GOOS)
}

func snapshot(func(*activity.Socket) bool) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, runtime.GOOS)
}
