package enrich

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
)

// Where dpkg keeps its record (dpkg(1), FILES).
const (
	dpkgStatus = "var/lib/dpkg/status"
	dpkgInfo   = "var/lib/dpkg/info"
)

// dpkg reads the record of a Debian system beneath a root directory.
type dpkg struct{ root string }

// dpkgName is a package by name and architecture; the architecture is "" where
// only one can be installed.
type dpkgName struct{ name, arch string }

// find returns "name version" for the paths that belong to a package. It is
// incomplete when the context ended.
func (d dpkg) find(ctx context.Context, paths map[string]bool) (found map[string]string, complete bool) {
	wanted := make(map[string]string, 2*len(paths)) // as lists may spell it, to as asked
	for p := range paths {
		wanted[p] = p
		if alias := d.alias(p); alias != "" {
			wanted[alias] = p
		}
	}
	lists, err := os.ReadDir(filepath.Join(d.root, dpkgInfo))
	if err != nil {
		return nil, true
	}
	owners := make(map[string]dpkgName)
	in := bufio.NewReaderSize(nil, 64<<10)
	for _, l := range lists {
		name, ok := strings.CutSuffix(l.Name(), ".list")
		if !ok {
			continue
		}
		if ctx.Err() != nil || len(owners) == len(paths) {
			break
		}
		var pkg dpkgName
		pkg.name, pkg.arch, _ = strings.Cut(name, ":")
		file, err := os.Open(filepath.Join(d.root, dpkgInfo, l.Name()))
		if err != nil {
			continue
		}
		in.Reset(file)
		eachLine(in, func(line []byte) {
			if p, ok := wanted[string(line)]; ok {
				if _, taken := owners[p]; !taken {
					owners[p] = pkg
				}
			}
		})
		file.Close()
	}
	return d.withVersions(owners), ctx.Err() == nil
}

// alias returns the other name of a path on systems where /bin, /lib and the
// like are links into /usr: lists keep the name that the package was built
// with, the kernel knows the real one.
func (d dpkg) alias(path string) string {
	short, inUsr := strings.CutPrefix(path, "/usr")
	top, _, ok := strings.Cut(strings.TrimPrefix(short, "/"), "/")
	switch top {
	case "bin", "sbin", "lib", "lib32", "lib64", "libx32":
	default:
		return ""
	}
	target, err := os.Readlink(filepath.Join(d.root, top))
	if !ok || err != nil || strings.TrimPrefix(target, "/") != "usr/"+top {
		return ""
	}
	if inUsr {
		return short
	}
	return "/usr" + path
}

// withVersions looks the versions up in the status file.
func (d dpkg) withVersions(owners map[string]dpkgName) map[string]string {
	versions := make(map[dpkgName]string)
	for _, o := range owners {
		versions[o] = ""
	}
	if file, err := os.Open(filepath.Join(d.root, dpkgStatus)); err == nil && len(versions) > 0 {
		parseDpkgStatus(bufio.NewReaderSize(file, 64<<10), versions)
		file.Close()
	}
	found := make(map[string]string, len(owners))
	for p, o := range owners {
		found[p] = strings.TrimSpace(o.name + " " + versions[o])
	}
	return found
}

// parseDpkgStatus fills in the versions of the packages that are its keys, from
// paragraphs of fields (deb-control(5)).
func parseDpkgStatus(in *bufio.Reader, versions map[dpkgName]string) {
	var name, arch, version string
	flush := func() {
		for _, n := range [...]dpkgName{{name, ""}, {name, arch}} {
			if v, ok := versions[n]; ok && v == "" {
				versions[n] = version
			}
		}
		name, arch, version = "", "", ""
	}
	eachLine(in, func(line []byte) {
		if len(line) == 0 {
			flush()
			return
		}
		for _, f := range [...]struct {
			field string
			to    *string
		}{{"Package: ", &name}, {"Architecture: ", &arch}, {"Version: ", &version}} {
			if bytes.HasPrefix(line, []byte(f.field)) {
				*f.to = string(line[len(f.field):])
			}
		}
	})
	flush()
}

// eachLine calls yield with each line, without its end; of a line longer than
// the reader's buffer, with the beginning. The bytes are valid during the call.
func eachLine(in *bufio.Reader, yield func(line []byte)) {
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			yield(bytes.TrimSuffix(line, []byte{'\n'}))
		}
		for err == bufio.ErrBufferFull {
			_, err = in.ReadSlice('\n')
		}
		if err != nil {
			return // at its end, or unreadable beyond: then it tells less
		}
	}
}
