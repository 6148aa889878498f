package proc

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// maxMapsLine bounds a line of /proc/PID/maps: 73 columns and a path of
// PATH_MAX bytes, of which each newline is printed in four.
const maxMapsLine = 73 + 4*4096

// mapsLine is one line of /proc/PID/maps that is backed by a file.
type mapsLine struct {
	base       uint64
	exec       bool
	dev, inode uint64
	path       []byte // aliases the line; newlines still printed as \012
}

// parseMaps reads /proc/PID/maps (proc_pid_maps(5)) and returns the files of
// which any part is executable, by the lowest address at which any part of them
// is mapped, and sorted by it. Mappings without a file ([vdso], [heap], JIT
// code) are not modules. The suffix that marks a deleted file is taken off.
// More than maxModules files are an error, as nothing real has them.
func parseMaps(r io.Reader) ([]Mapping, error) {
	type id struct {
		dev, inode uint64
		path       string
	}
	type seen struct {
		base uint64
		exec bool
	}
	files := make(map[id]*seen)
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxMapsLine)
	for lines.Scan() {
		l, ok, err := parseMapsLine(lines.Bytes())
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		f := files[id{l.dev, l.inode, string(l.path)}] // the conversion does not allocate
		if f == nil {
			if len(files) == 4*maxModules {
				return nil, fmt.Errorf("parse maps: more than %d files", len(files))
			}
			f = &seen{base: l.base}
			files[id{l.dev, l.inode, string(l.path)}] = f
		}
		f.base = min(f.base, l.base)
		f.exec = f.exec || l.exec
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("parse maps: %w", err)
	}
	var mods []Mapping
	for k, f := range files {
		if !f.exec {
			continue
		}
		m := Mapping{Module: activity.Module{Base: f.base}, Dev: k.dev, Inode: k.inode}
		m.Path, m.Deleted = strings.CutSuffix(strings.ReplaceAll(k.path, `\012`, "\n"), deletedSuffix)
		mods = append(mods, m)
	}
	if len(mods) > maxModules {
		return nil, fmt.Errorf("parse maps: more than %d modules", maxModules)
	}
	slices.SortFunc(mods, func(a, b Mapping) int {
		return cmp.Or(cmp.Compare(a.Base, b.Base), cmp.Compare(a.Path, b.Path))
	})
	return mods, nil
}

// parseMapsLine reads one line:
//
//	7f1d4c000000-7f1d4c028000 r-xp 00001000 fe:00 131154    /usr/lib/libc.so.6
//	begin        end          prot offset   dev   inode     path, to the end
//
// It reports false when no file is mapped.
func parseMapsLine(b []byte) (l mapsLine, ok bool, err error) {
	bad := func(what string) (mapsLine, bool, error) {
		return mapsLine{}, false, fmt.Errorf("parse maps: no %s in %q", what, clip(b))
	}
	rest := b
	next := func() []byte {
		var f []byte
		f, rest, _ = bytes.Cut(rest, []byte{' '})
		return f
	}
	begin, _, found := bytes.Cut(next(), []byte{'-'})
	if l.base, err = strconv.ParseUint(string(begin), 16, 64); err != nil || !found {
		return bad("range")
	}
	prot := next()
	if len(prot) != 4 {
		return bad("protection")
	}
	l.exec = prot[2] == 'x'
	next() // the offset tells where in the file, not where in memory
	major, minor, found := bytes.Cut(next(), []byte{':'})
	ma, err1 := strconv.ParseUint(string(major), 16, 32)
	mi, err2 := strconv.ParseUint(string(minor), 16, 32)
	if !found || err1 != nil || err2 != nil {
		return bad("device")
	}
	l.dev = makeDev(ma, mi)
	if l.inode, err = strconv.ParseUint(string(next()), 10, 64); err != nil {
		return bad("inode")
	}
	l.path = bytes.TrimLeft(rest, " ")
	return l, l.inode != 0 && len(l.path) > 0, nil
}

// makeDev puts a device number together as stat(2) gives it on Linux
// (gnu_dev_makedev in glibc; new_encode_dev in the kernel is its lower half).
func makeDev(major, minor uint64) uint64 {
	return minor&0xff | major&0xfff<<8 | minor&^0xff<<12 | major&^0xfff<<32
}
