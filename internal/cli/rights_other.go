//go:build !linux

package cli

// rightsOf is not known for this system: nothing records there yet.
func rightsOf(int) rights { return rights{} }

// kernelRelease adds nothing to the system's name here.
func kernelRelease() string { return "" }
