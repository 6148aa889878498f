package portreporter_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	maxFileLines = 600
	// A package may keep a few variables for the whole program beside its
	// errors and embedded files: state that is shared by all is state that no
	// test can start afresh.
	maxPackageVars = 3
)

// source is a file of ours, parsed; generated files are left out.
type source struct {
	name  string
	test  bool
	text  []byte
	ast   *ast.File
	lines int
}

// TestSources checks what review would otherwise have to: that each package
// says its job and each exported name what it is, and that no file, no init
// and no pile of package variables grows beyond what a reader can hold.
func TestSources(t *testing.T) {
	for _, dir := range dirs(t) {
		files := parseDir(t, dir)
		var documented, product bool
		vars := 0
		for _, f := range files {
			if f.lines > maxFileLines {
				t.Errorf("%s: %d lines, more than %d: split it", f.name, f.lines, maxFileLines)
			}
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s: init(): give the work to a constructor", f.name)
				}
			}
			if f.test {
				continue
			}
			product = true
			documented = documented || f.ast.Doc != nil
			vars += packageVars(f.ast)
			for _, name := range undocumented(f.ast) {
				t.Errorf("%s: exported %s has no doc comment", f.name, name)
			}
		}
		if product && !documented {
			t.Errorf("%s: no package comment", dir)
		}
		if vars > maxPackageVars {
			t.Errorf("%s: %d package variables, more than %d", dir, vars, maxPackageVars)
		}
	}
}

func parseDir(t *testing.T, dir string) (files []source) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if ast.IsGenerated(f) {
			continue
		}
		files = append(files, source{name, strings.HasSuffix(name, "_test.go"), text, f, bytes.Count(text, []byte("\n"))})
	}
	return files
}

// packageVars counts a file's package-level variables, but for errors (Err...,
// err...), embedded files, the `var _ =` of compile-time checks, and tables of
// fixed size ([...]string{...}): those are Go's constants of array type.
func packageVars(f *ast.File) (n int) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			spec := s.(*ast.ValueSpec)
			if embedded(g.Doc) || embedded(spec.Doc) || isTable(spec) {
				continue
			}
			for _, name := range spec.Names {
				if name.Name != "_" && !strings.HasPrefix(strings.ToLower(name.Name), "err") {
					n++
				}
			}
		}
	}
	return n
}

func isTable(spec *ast.ValueSpec) bool {
	if len(spec.Values) != 1 {
		return false
	}
	lit, ok := spec.Values[0].(*ast.CompositeLit)
	if !ok {
		return false
	}
	array, ok := lit.Type.(*ast.ArrayType)
	return ok && array.Len != nil
}

func embedded(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, c := range doc.List {
		if strings.HasPrefix(c.Text, "//go:embed ") {
			return true
		}
	}
	return false
}

// undocumented lists exported functions, methods of exported types, types,
// constants and variables without a comment of their own or of their group.
func undocumented(f *ast.File) (names []string) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && f.Name.Name != "main" {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				names = append(names, undocumentedSpec(d, s)...)
			}
		}
	}
	return names
}

func undocumentedSpec(d *ast.GenDecl, s ast.Spec) (names []string) {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
			names = append(names, s.Name.Name)
		}
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
				names = append(names, n.Name)
			}
		}
	}
	return names
}

func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return true
	}
	typ := fn.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported() && !isInterfaceMethod(fn.Name.Name)
		default:
			return false
		}
	}
}

// isInterfaceMethod names the methods whose meaning the standard library fixes.
func isInterfaceMethod(name string) bool {
	switch name {
	case "Error", "Unwrap", "Is", "String", "Len", "Less", "Swap", "MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON":
		return true
	}
	return false
}
