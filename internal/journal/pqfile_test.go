package journal

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
)

// allKinds is a row with each kind of column that the package's tables have.
type allKinds struct {
	Time  int64  `parquet:"time,delta,timestamp(nanosecond)"`
	ID    uint64 `parquet:"id,dict"`
	Count int64  `parquet:"count,optional"`
	Base  uint64 `parquet:"base"`
	Index int32  `parquet:"index,delta"`
	User  uint32 `parquet:"user,dict"`
	Port  uint32 `parquet:"port,uint(16)"`
	Yes   bool   `parquet:"yes"`
	Text  string `parquet:"text,dict"`
	Long  string `parquet:"long"`
	JSON  string `parquet:"doc,optional,json"`
}

// TestTableSchemas compares the schemas of this package's writer with those
// that the Parquet library makes of the same tags.
func TestTableSchemas(t *testing.T) {
	dir := t.TempDir()
	for _, row := range []any{eventSchema{}, processRow{}, moduleRow{}, Rollup{}, Peer{}, allKinds{}} {
		typ := reflect.TypeOf(row)
		f, err := createTable(dir, typ.Name(), newZstd(zstd.SpeedFastest), columnsFor(columnsOf(typ), 8))
		check(t, err)
		check(t, f.close())
		_, got, _ := strings.Cut(openParquet(t, filepath.Join(dir, typ.Name())).Schema().String(), "{")
		_, want, _ := strings.Cut(parquet.SchemaOf(row).String(), "{")
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-library +ours):\n%s", typ.Name(), d)
		}
	}
}

func openParquet(t *testing.T, path string) *parquet.File {
	t.Helper()
	f, err := os.Open(path)
	check(t, err)
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	check(t, err)
	pf, err := parquet.OpenFile(f, st.Size())
	check(t, err)
	return pf
}

// TestTableRoundTrip has the Parquet library read what this package wrote.
func TestTableRoundTrip(t *testing.T) {
	for name, n := range map[string]int{"none": 0, "one": 1, "a row group": tableRows, "some row groups": 2*tableRows + 7} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			want := make([]allKinds, n)
			for i := range want {
				want[i] = allKinds{Time: anchor - int64(i)*977, ID: uint64(i%300) << 50, Count: int64(i), Base: ^uint64(i), Index: int32(-i), User: ^uint32(i % 5),
					Port: uint32(65535 - i%9), Yes: i%3 == 0, Text: strings.Repeat("é", i%11), Long: strings.Repeat("x", i%2000), JSON: `{}`}
			}
			check(t, writeTable(dir, "t", newZstd(zstd.SpeedFastest), n, each(want)))
			got := make([]allKinds, n+1)
			r := parquet.NewGenericReader[allKinds](openParquet(t, filepath.Join(dir, "t")))
			k, err := io.ReadFull(rowReader{r, got}, make([]byte, n+1))
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got[:k]); d != "" {
				t.Errorf("(-wrote +read):\n%.2000s", d)
			}
		})
	}
}

// rowReader reads rows where io.ReadFull thinks that it reads bytes.
type rowReader struct {
	r    *parquet.GenericReader[allKinds]
	rows []allKinds
}

func (r rowReader) Read(b []byte) (int, error) { return r.r.Read(r.rows[len(r.rows)-len(b):]) }

// TestNulls sets rows of optional columns in any order.
func TestNulls(t *testing.T) {
	type row struct {
		A int64  `parquet:"a,optional"`
		B string `parquet:"b,optional"`
		C uint32 `parquet:"c,optional,dict"`
	}
	dir := t.TempDir()
	f, err := createTable(dir, "t", newZstd(zstd.SpeedFastest), columnsFor(columnsOf(reflect.TypeFor[row]()), 8))
	check(t, err)
	f.cols[0].page, f.cols[0].bounds = 3, true
	f.cols[0].number(6, 66)
	f.cols[0].number(1, 11)
	f.cols[0].some(2, 0)
	f.cols[2].number(5, 55)
	check(t, f.group(7))
	f.cols[1].text(0, "second group")
	check(t, f.group(1), f.close())
	pf := openParquet(t, filepath.Join(dir, "t"))
	got := make([]row, 8)
	n, err := parquet.NewGenericReader[row](pf).Read(got)
	if n != 8 || err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(n, err)
	}
	want := make([]row, 8)
	want[1].A, want[6].A, want[5].C, want[7].B = 11, 66, 55, "second group"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	index, err := pf.RowGroups()[0].ColumnChunks()[0].ColumnIndex()
	check(t, err)
	if index.NumPages() != 3 || !index.NullPage(1) || index.MinValue(2).Int64() != 66 || index.NullCount(0) != 2 {
		t.Errorf("pages %d, null %v, least %v, nulls %d", index.NumPages(), index.NullPage(1), index.MinValue(2), index.NullCount(0))
	}
}
