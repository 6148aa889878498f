//go:build !linux

package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintln(os.Stderr, "disk: not supported on", runtime.GOOS)
	os.Exit(1)
}
