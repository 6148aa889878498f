package enrich

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// maxUnitFile bounds a unit file. Real ones have a few kilobytes.
const maxUnitFile = 256 << 10

// unitLife is how long a description is believed: units change with packages.
const unitLife = 5 * time.Minute

// units reads descriptions of systemd units from their files. The manager is
// not asked: D-Bus is not always there, and it may be what is being recorded.
type units struct {
	root  string
	now   func() time.Time
	known *lru[activity.Unit, unitText] // by name and user
}

type unitText struct {
	description string
	read        time.Time
}

func newUnits(root string, now func() time.Time) *units {
	return &units{root: root, now: now, known: newLRU[activity.Unit, unitText](cacheUnits)}
}

// description returns what the unit says of itself, "" unknown. A user's own
// files in the home directory are not read.
func (u *units) description(unit activity.Unit) string {
	key := activity.Unit{Name: unit.Name, User: unit.User}
	now := u.now()
	if t, ok := u.known.get(key); ok && now.Sub(t.read) < unitLife {
		return t.description
	}
	text := unitText{u.read(unit), now}
	u.known.put(key, text)
	return text.description
}

// read follows systemd.unit(5): the first file in the search path counts, that
// of the instance before that of its template, and drop-ins override it.
func (u *units) read(unit activity.Unit) string {
	if unit.Name == "" || unit.Name[0] == '.' || strings.ContainsAny(unit.Name, "/\x00") {
		return ""
	}
	dirs := []string{"etc/systemd/system.control", "run/systemd/system.control", "run/systemd/transient", "run/systemd/generator.early",
		"etc/systemd/system", "run/systemd/system", "run/systemd/generator", "usr/local/lib/systemd/system",
		"usr/lib/systemd/system", "lib/systemd/system", "run/systemd/generator.late"}
	if unit.User != "" {
		dirs = []string{"etc/systemd/user", "run/systemd/user", "usr/local/lib/systemd/user", "usr/lib/systemd/user"}
	}
	names := []string{unit.Name}
	if template, _ := splitInstance(unit.Name); template != unit.Name {
		names = append(names, template)
	}
	text := ""
	if data := u.first(dirs, names); data != nil {
		text = lastDescription(data, text)
	}
	for _, file := range u.dropIns(dirs, names) {
		data, _ := readBounded(file, maxUnitFile)
		text = lastDescription(data, text)
	}
	return expandSpecifiers(text, unit.Name)
}

func (u *units) first(dirs, names []string) []byte {
	for _, name := range names {
		for _, dir := range dirs {
			if data, err := readBounded(filepath.Join(u.root, dir, name), maxUnitFile); err == nil {
				return data
			}
		}
	}
	return nil
}

// dropIns lists the files "NAME.d/*.conf" in the order they apply, by file name;
// of those with one name only the first directory's counts.
func (u *units) dropIns(dirs, names []string) []string {
	byName := make(map[string]string)
	for _, name := range names {
		for _, dir := range dirs {
			where := filepath.Join(u.root, dir, name+".d")
			entries, _ := os.ReadDir(where)
			for _, e := range entries[:min(len(entries), 64)] {
				if n := e.Name(); strings.HasSuffix(n, ".conf") && byName[n] == "" {
					byName[n] = filepath.Join(where, n)
				}
			}
		}
	}
	keys := make([]string, 0, len(byName))
	for n := range byName {
		keys = append(keys, n)
	}
	slices.Sort(keys)
	files := make([]string, len(keys))
	for i, n := range keys {
		files[i] = byName[n]
	}
	return files
}

// lastDescription returns the last Description= of the [Unit] section, or what
// was known if there is none. A backslash at a line's end continues it
// (systemd.syntax(7)).
func lastDescription(data []byte, known string) string {
	inUnit := false
	for len(data) > 0 {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte{'\n'})
		for bytes.HasSuffix(line, []byte{'\\'}) && len(data) > 0 {
			var next []byte
			next, data, _ = bytes.Cut(data, []byte{'\n'})
			line = slices.Concat(bytes.TrimSuffix(line, []byte{'\\'}), []byte{' '}, bytes.TrimSpace(next))
		}
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] == '[' {
			inUnit = string(line) == "[Unit]"
			continue
		}
		name, value, ok := bytes.Cut(line, []byte{'='})
		if ok && inUnit && string(bytes.TrimSpace(name)) == "Description" {
			known = string(bytes.TrimSpace(value))
		}
	}
	const longest = 1024
	return known[:min(len(known), longest)]
}

// splitInstance splits "getty@tty1.service" into "getty@.service" and "tty1".
func splitInstance(name string) (template, instance string) {
	at, dot := strings.IndexByte(name, '@'), strings.LastIndexByte(name, '.')
	if at < 0 || dot < at+1 || dot == at+1 {
		return name, ""
	}
	return name[:at+1] + name[dot:], name[at+1 : dot]
}

// expandSpecifiers replaces the specifiers that follow from the unit's name
// (systemd.unit(5), "Specifiers"); others stay as they are.
func expandSpecifiers(s, name string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	_, instance := splitInstance(name)
	whole := strings.TrimSuffix(name, filepath.Ext(name))
	prefix, _, _ := strings.Cut(whole, "@")
	plain := unescapeUnit(strings.ReplaceAll(instance, "-", "/"))
	return strings.NewReplacer("%%", "%", "%i", instance, "%I", plain, "%n", name, "%N", whole, "%p", prefix,
		"%P", unescapeUnit(strings.ReplaceAll(prefix, "-", "/"))).Replace(s)
}
