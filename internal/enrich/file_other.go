//go:build !linux

package enrich

import (
	"os"

	"github.com/portreporter/portreporter/internal/proc"
)

func statFile(string) (proc.FileID, error) { return proc.FileID{}, proc.ErrUnsupported }

func statOpen(*os.File) (proc.FileID, error) { return proc.FileID{}, proc.ErrUnsupported }
