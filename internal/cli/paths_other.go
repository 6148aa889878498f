//go:build !unix && !windows

package cli

// osPaths keeps everything in the working directory: the recorder does not run
// here, but its records can be read.
func osPaths(func(string) string, bool) paths {
	return paths{config: "config.toml", dir: "portreporter", control: "control.sock"}
}

func isAdmin() bool { return false }
