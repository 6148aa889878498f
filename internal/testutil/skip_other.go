//go:build !linux

package testutil

const onLinux = false

func privileged() bool { return false }
