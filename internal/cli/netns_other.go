//go:build !linux

package cli

// ownNetNS is 0: this system has one network namespace.
func ownNetNS() uint32 { return 0 }
