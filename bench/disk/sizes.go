package main

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"text/tabwriter"
)

// sizes is bytes by kind of file.
type sizes map[string]int64

// sum adds up the files below dir, by their directory and extension.
func sum(dir fs.FS) (sizes, error) {
	s := sizes{}
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		kind := path.Base(name)
		if ext := path.Ext(name); ext != "" {
			kind = "*" + ext
		}
		s[path.Join(path.Dir(name), kind)] += info.Size()
		return nil
	})
	return s, err
}

// print writes a table, the largest first.
func (s sizes) print(w io.Writer, events int) error {
	kinds := slices.SortedFunc(maps.Keys(s), func(a, b string) int { return cmp.Or(cmp.Compare(s[b], s[a]), cmp.Compare(a, b)) })
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "file\tbytes\tan event\t\n")
	total := int64(0)
	for _, k := range kinds {
		total += s[k]
		fmt.Fprintf(t, "%s\t%d\t%.1f\t\n", k, s[k], float64(s[k])/float64(max(1, events)))
	}
	fmt.Fprintf(t, "all\t%d\t%.1f\t\n", total, float64(total)/float64(max(1, events)))
	return t.Flush()
}
