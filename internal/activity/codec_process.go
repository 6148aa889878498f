package activity

import "encoding/binary"

// Bits of a process's flag byte.
const (
	procDeleted = 1 << iota
	procMemFD
	procKernel
	procTruncated
	procArgs // Args is known, though perhaps empty
)

// AppendProcess appends p's binary form.
func AppendProcess(b []byte, p *Process) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(p.ID))
	b = binary.AppendUvarint(b, uint64(p.Rev))
	b = appendKey(b, p.Key)
	b = binary.AppendUvarint(b, uint64(p.Execs))
	b = binary.AppendVarint(b, p.Start)
	var f byte
	for _, x := range []struct {
		on  bool
		bit byte
	}{{p.Deleted, procDeleted}, {p.MemFD, procMemFD}, {p.Kernel, procKernel}, {p.ArgsTruncated, procTruncated}, {p.Args != nil, procArgs}} {
		if x.on {
			f |= x.bit
		}
	}
	b = append(b, f)
	for _, s := range p.strings() {
		b = appendString(b, *s)
	}
	b = binary.AppendUvarint(b, uint64(len(p.Args)))
	for _, a := range p.Args {
		b = appendString(b, a)
	}
	b = binary.AppendUvarint(b, uint64(len(p.Ancestors)))
	for _, a := range p.Ancestors {
		b = appendString(appendKey(b, a.Key), a.Name)
	}
	for _, v := range []uint32{p.UID, p.EUID, p.GID, p.LoginUID} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	b = binary.AppendUvarint(b, p.ExeDev)
	b = binary.AppendUvarint(b, p.ExeInode)
	b = binary.AppendUvarint(b, p.CgroupID)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.Modules))
	return binary.AppendUvarint(b, uint64(p.NetNS))
}

// strings lists p's text fields in the order of their binary form. New ones go
// at the end, with a new record version.
func (p *Process) strings() []*string {
	return []*string{&p.Name, &p.Exe, &p.Cwd, &p.User, &p.EffectiveUser, &p.LoginUser, &p.ExeSHA256, &p.ExePackage,
		&p.Cgroup, &p.Unit.Name, &p.Unit.Description, &p.Unit.User,
		&p.Container.Runtime, &p.Container.ID, &p.Container.Name, &p.Container.Image, &p.Container.Pod}
}

// DecodeProcess reads one process from all of b.
func DecodeProcess(b []byte) (*Process, error) {
	d := decoder{b: b}
	p := &Process{ID: ProcessID(d.uint64()), Rev: d.uint32(), Key: d.key(), Execs: d.uint32(), Start: d.varint()}
	f := d.byte()
	p.Deleted, p.MemFD, p.Kernel, p.ArgsTruncated = f&procDeleted != 0, f&procMemFD != 0, f&procKernel != 0, f&procTruncated != 0
	for _, s := range p.strings() {
		*s = d.string()
	}
	n := d.count(1)
	if f&procArgs != 0 && d.err == nil {
		p.Args = make([]string, 0, n)
	}
	for ; n > 0 && d.err == nil; n-- {
		p.Args = append(p.Args, d.string())
	}
	for n := d.count(3); n > 0 && d.err == nil; n-- {
		p.Ancestors = append(p.Ancestors, ProcessRef{Key: d.key(), Name: d.string()})
	}
	p.UID, p.EUID, p.GID, p.LoginUID = d.uint32(), d.uint32(), d.uint32(), d.uint32()
	p.ExeDev, p.ExeInode, p.CgroupID = d.uvarint(), d.uvarint(), d.uvarint()
	p.Modules = ModuleSetID(d.uint64())
	p.NetNS = d.uint32()
	if d.err != nil {
		return nil, d.fail("process")
	}
	return p, nil
}

// AppendModuleSet appends s's binary form.
func AppendModuleSet(b []byte, s *ModuleSet) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(s.ID))
	b = binary.AppendUvarint(b, uint64(len(s.Modules)))
	for i := range s.Modules {
		m := &s.Modules[i]
		b = appendString(b, m.Path)
		b = binary.AppendUvarint(b, m.Base)
		b = appendString(b, m.BuildID)
		b = appendString(b, m.Package)
		if m.Deleted {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return b
}

// DecodeModuleSet reads one module set from all of b.
func DecodeModuleSet(b []byte) (*ModuleSet, error) {
	s := new(ModuleSet)
	if err := s.Decode(b, func(b []byte) string { return string(b) }); err != nil {
		return nil, err
	}
	return s, nil
}

// Decode reads one module set from all of b into s, reusing its Modules. text
// makes the strings: sets share most of theirs, so that it may return the same
// one again. After an error s is of no use.
func (s *ModuleSet) Decode(b []byte, text func([]byte) string) error {
	d := decoder{b: b}
	s.ID, s.Modules = ModuleSetID(d.uint64()), s.Modules[:0]
	for n := d.count(5); n > 0 && d.err == nil; n-- {
		s.Modules = append(s.Modules, Module{Path: text(d.bytes(d.count(1))), Base: d.uvarint(), BuildID: text(d.bytes(d.count(1))),
			Package: text(d.bytes(d.count(1))), Deleted: d.byte() != 0})
	}
	if d.err != nil {
		return d.fail("module set")
	}
	return nil
}
