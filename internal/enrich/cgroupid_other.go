//go:build !linux

package enrich

import "github.com/portreporter/portreporter/internal/proc"

func openCgroups(string) int { return -1 }

func closeCgroups(int) {}

func cgroupByHandle(int, string, uint64) (string, bool) { return "", false }

func walkCgroups(string, func(uint64, string)) {}

func hasChildren(proc.FS) bool { return false }
