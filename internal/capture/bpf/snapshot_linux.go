//go:build amd64 || arm64

package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"

	"github.com/portreporter/portreporter/internal/activity"
)

// Snapshot yields every socket that a process has open now, in all network
// namespaces, with its holders; they are the caller's to keep. It loads one
// iterator for the moment of the call and leaves no trace in the kernel; it
// needs CAP_BPF and CAP_PERFMON.
func Snapshot(yield func(*activity.Socket) bool) error {
	types := btf.NewCache()
	go func() { _, _ = types.Kernel() }() // takes longer than to read the object; who needs it waits, and is told of errors
	spec, err := loadRecorder()
	if err != nil {
		return fmt.Errorf("read the ebpf object: %w", err)
	}
	for n := range spec.Programs {
		if n != "held" {
			delete(spec.Programs, n)
		}
	}
	for n := range spec.Maps {
		switch n {
		case "ring", "seen", "flows", "scratch": // the recorder's, and large
			delete(spec.Maps, n)
		}
	}
	for _, n := range []string{"subflows", "tsocks", "listeners"} {
		spec.Maps[n].MaxEntries = 64 // never written
	}
	if err := spec.Variables["list_only"].Set(uint32(1)); err != nil {
		return fmt.Errorf("set list_only: %w", err)
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: types})
	if err != nil {
		return fmt.Errorf("load the iterator: %s: %w", oneLine(err), err)
	}
	defer c.Close()
	it, err := link.AttachIter(link.IterOptions{Program: c.Programs["held"]})
	if err != nil {
		return fmt.Errorf("attach the iterator: %w", err)
	}
	defer it.Close()
	s := scanner{heldIter: it}
	socks, err := s.held(wallOffset())
	if err == nil {
		socks.each(yield)
	}
	return err
}
