//go:build !unix && !windows

package cli

import "os"

// osPaths keeps everything in the working directory: the recorder does not run
// here, but its records can be read.
func osPaths(func(string) string, bool) paths {
	return paths{config: "config.toml", dir: "portreporter", control: "control.sock"}
}

func isAdmin() bool { return false }

// mayRead tells whether this user may list dir.
func mayRead(dir string) bool {
	_, err := os.ReadDir(dir)
	return err == nil
}

// mayConnect is false: this system has no control socket yet.
func mayConnect(string) bool { return false }
