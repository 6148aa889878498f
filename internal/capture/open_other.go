//go:build !linux

package capture

import (
	"fmt"
	"runtime"
)

func open(Config) (Source, error) {
	return nil, fmt.Errorf("%w: %s", ErrUnsupported, runtime.GOOS)
}
