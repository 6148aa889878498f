package portreporter_test

import (
	"bufio"
	"go/build"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/portreporter/portreporter"

// mayImport is the house's import table (docs/ARCHITECTURE.md): the packages
// of ours that each may import, "/..." meaning everything below too. What is
// not listed is forbidden, and so is a package that has no line here.
func mayImport() map[string][]string {
	pipeline := []string{"internal/activity"}
	return map[string][]string{
		"internal/activity": nil,
		"internal/svc":      nil,
		"internal/probe":    nil,

		"internal/probe/...": {"internal/probe", "internal/probe/internal/..."},
		"internal/probe/all": {"internal/probe/..."},
		// A session of NetBIOS carries SMB.
		"internal/probe/netbios": {"internal/probe", "internal/probe/internal/...", "internal/probe/smb"},

		"internal/proc":        pipeline,
		"internal/prlog":       pipeline,
		"internal/foreign":     pipeline,
		"internal/recorder":    pipeline,
		"internal/filter":      pipeline,
		"internal/control":     pipeline,
		"internal/capture/...": {"internal/activity"},

		"internal/capture":  {"internal/activity", "internal/capture/..."},
		"internal/journal":  {"internal/activity", "internal/filter"},
		"internal/enrich":   {"internal/activity", "internal/proc"},
		"internal/interest": {"internal/activity", "internal/filter"},
		"internal/analyse":  {"internal/activity", "internal/filter", "internal/interest"},
		"internal/notify":   {"internal/activity"},
		"internal/render":   {"internal/activity", "internal/analyse", "internal/probe"},

		"internal/tui":     views(),
		"internal/console": views(),

		"internal/cli":          {"internal/..."},
		"cmd/...":               {"internal/cli"},
		"internal/testutil/...": {"internal/activity", "internal/testutil/..."},
		"bench/...":             {"internal/...", "bench/..."},
		".":                     nil,
	}
}

// views is what the console and the terminal view show, and ask for it.
func views() []string {
	return []string{"internal/activity", "internal/filter", "internal/analyse", "internal/interest", "internal/render",
		"internal/control", "internal/journal", "internal/probe", "internal/probe/all"}
}

// TestImports holds every package to the table, for each system and its tests.
func TestImports(t *testing.T) {
	table := mayImport()
	for _, p := range packages(t) {
		allowed, listed := rule(table, p.dir)
		if !listed {
			t.Errorf("%s has no line in the import table", p.dir)
			continue
		}
		for _, i := range ours(p.Imports) {
			if !allows(allowed, i) || isTestutil(i) && !isTestutil(p.dir) && p.dir != "bench" && !strings.HasPrefix(p.dir, "bench/") {
				t.Errorf("%s (%s) imports %s", p.dir, p.goos, i)
			}
		}
		for _, i := range ours(append(p.TestImports, p.XTestImports...)) {
			if !allows(allowed, i) && !isTestutil(i) && i != "internal/activity" && i != p.dir {
				t.Errorf("a test of %s (%s) imports %s", p.dir, p.goos, i)
			}
		}
	}
}

// TestDependenciesHaveReasons: each module that we import from another's hand
// stands in docs/DEPENDENCIES.md.
func TestDependenciesHaveReasons(t *testing.T) {
	doc, err := os.ReadFile("docs/DEPENDENCIES.md")
	if err != nil {
		t.Fatal(err)
	}
	required := requiredModules(t)
	seen := map[string]bool{}
	for _, p := range packages(t) {
		for _, i := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			first, _, _ := strings.Cut(i, "/")
			if !strings.Contains(first, ".") || i == module || strings.HasPrefix(i, module+"/") {
				continue
			}
			m := moduleOf(i, required)
			if seen[m] {
				continue
			}
			seen[m] = true
			if m == "" || !strings.Contains(string(doc), "`"+m+"`") {
				t.Errorf("%s imports %s: module %q has no line in docs/DEPENDENCIES.md", p.dir, i, m)
			}
		}
	}
}

// pkg is one of our packages as one system builds it.
type pkg struct {
	*build.Package
	dir  string // relative to the module, with slashes
	goos string
}

// packages finds every package of ours for Linux and Windows. Only imports are
// parsed, so it needs no build and no network.
func packages(t *testing.T) (all []pkg) {
	t.Helper()
	for _, goos := range []string{"linux", "windows"} {
		ctx := build.Default
		ctx.GOOS, ctx.GOARCH, ctx.CgoEnabled = goos, "amd64", false
		for _, dir := range dirs(t) {
			p, err := ctx.ImportDir(dir, 0)
			if _, none := err.(*build.NoGoError); none {
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", dir, err)
				continue
			}
			all = append(all, pkg{p, filepath.ToSlash(dir), goos})
		}
	}
	return all
}

// dirs lists the module's directories that may hold packages.
func dirs(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		base := d.Name()
		if name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "dist" || base == "node_modules") {
			return filepath.SkipDir
		}
		if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != "." {
			return filepath.SkipDir // a module of its own
		}
		all = append(all, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// rule finds the line for dir: its own, or that of the nearest "/..." above.
func rule(table map[string][]string, dir string) ([]string, bool) {
	if r, ok := table[dir]; ok {
		return r, true
	}
	for up := dir; up != "."; up = path.Dir(up) {
		if r, ok := table[up+"/..."]; ok {
			return r, true
		}
	}
	return nil, false
}

func allows(list []string, i string) bool {
	return slices.ContainsFunc(list, func(a string) bool {
		prefix, tree := strings.CutSuffix(a, "/...")
		return i == prefix || tree && strings.HasPrefix(i, prefix+"/")
	})
}

// ours gives the imports that are packages of this module, relative to it.
func ours(imports []string) (rel []string) {
	for _, i := range imports {
		if r, ok := strings.CutPrefix(i, module+"/"); ok {
			rel = append(rel, r)
		}
	}
	return rel
}

func isTestutil(dir string) bool {
	return dir == "internal/testutil" || strings.HasPrefix(dir, "internal/testutil/")
}

// requiredModules lists the module paths of go.mod.
func requiredModules(t *testing.T) (modules []string) {
	t.Helper()
	f, err := os.Open("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "require "))
		if len(fields) >= 2 && strings.Contains(fields[0], ".") && strings.HasPrefix(fields[1], "v") {
			modules = append(modules, fields[0])
		}
	}
	return modules
}

// moduleOf gives the longest required module that import path i lies in.
func moduleOf(i string, modules []string) (best string) {
	for _, m := range modules {
		if (i == m || strings.HasPrefix(i, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	return best
}
