package journal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go/format"
)

// libraryFooter is parseFooter by the Parquet library.
func libraryFooter(t testing.TB, b []byte) *fileMeta {
	var f format.FileMetaData
	check(t, unmarshal(b, &f))
	m := &fileMeta{rows: f.NumRows, facts: map[string]string{}}
	for _, s := range f.Schema[1:] {
		m.columns = append(m.columns, columnMeta{s.Name, s.Type.V})
	}
	for _, kv := range f.KeyValueMetadata {
		m.facts[kv.Key] = kv.Value
	}
	for _, g := range f.RowGroups {
		group := groupMeta{rows: int(g.NumRows)}
		for _, c := range g.Columns {
			d := c.MetaData
			chunk := chunkMeta{data: d.DataPageOffset, dictionary: d.DictionaryPageOffset, size: d.TotalCompressedSize, values: d.NumValues, nulls: d.Statistics.NullCount,
				bloom: part{d.BloomFilterOffset, d.BloomFilterLength}, index: part{c.ColumnIndexOffset, c.ColumnIndexLength}, places: part{c.OffsetIndexOffset, c.OffsetIndexLength}}
			if len(d.Statistics.MinValue) > 0 {
				chunk.bounded, chunk.lo, chunk.hi = true, plainInt(d.Statistics.MinValue), plainInt(d.Statistics.MaxValue)
			}
			group.chunks = append(group.chunks, chunk)
		}
		m.groups = append(m.groups, group)
	}
	return m
}

// footers returns the footers of all files of a segment, and the files' sizes.
func footers(t testing.TB) (bs [][]byte, sizes []int64) {
	dir, _ := sealedJournal(t, rowGroup+100, 1)
	segs, _ := pieces(t, dir)
	for _, name := range segmentFiles() {
		b, err := os.ReadFile(filepath.Join(dir, segs[0], name))
		check(t, err)
		n := len(b) - 8
		bs, sizes = append(bs, b[n-int(uint32(plainInt(b[n:n+4]))):n]), append(sizes, int64(len(b)))
	}
	return bs, sizes
}

func TestFooterLikeTheLibrary(t *testing.T) {
	bs, sizes := footers(t)
	for i, b := range bs {
		got, err := parseFooter(b, sizes[i])
		check(t, err)
		if d := cmp.Diff(libraryFooter(t, b), got, cmp.AllowUnexported(fileMeta{}, columnMeta{}, groupMeta{}, chunkMeta{}, part{})); d != "" {
			t.Errorf("%s: -library +ours\n%s", segmentFiles()[i], d)
		}
		for cut := range len(b) {
			if _, err := parseFooter(b[:cut], sizes[i]); err == nil {
				t.Fatalf("%s: a footer cut to %d of %d bytes was taken", segmentFiles()[i], cut, len(b))
			}
		}
	}
}

// FuzzFooter: whatever a footer says, what it points at lies within the file.
func FuzzFooter(f *testing.F) {
	bs, sizes := footers(f)
	for i, b := range bs {
		f.Add(b, sizes[i])
	}
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		m, err := parseFooter(b, size)
		if (m == nil) == (err == nil) {
			t.Fatal("not either a footer or an error")
		}
		if err != nil {
			return
		}
		for _, g := range m.groups {
			for _, c := range g.chunks {
				for _, p := range []part{c.bloom, c.index, c.places} {
					if p.at < 0 || p.size < 0 || p.at+int64(p.size) > size {
						t.Fatalf("%+v of a file of %d bytes", p, size)
					}
				}
				if c.start() < 0 || c.size < 0 || c.start()+c.size > size || c.data < c.start() || c.data > c.start()+c.size {
					t.Fatalf("%+v of a file of %d bytes", c, size)
				}
			}
		}
	})
}

// FuzzReadSegment changes bytes of a segment's events: reading gives events, or
// an error, and neither a crash nor more events than the footer tells.
func FuzzReadSegment(f *testing.F) {
	dir, _ := sealedJournal(f, 300, 1)
	segs, _ := pieces(f, dir)
	path := filepath.Join(dir, segs[0])
	whole, err := os.ReadFile(filepath.Join(path, eventsFile))
	check(f, err)
	f.Add(uint32(200), byte(1), uint32(3000), byte(0x80))
	g := newGroupReader()
	f.Fuzz(func(t *testing.T, at1 uint32, x1 byte, at2 uint32, x2 byte) {
		b := append([]byte(nil), whole...)
		b[int(at1)%len(b)] ^= x1
		b[int(at2)%len(b)] ^= x2
		check(t, os.WriteFile(filepath.Join(path, eventsFile), b, 0o600))
		s, err := openSegment(path)
		if err != nil {
			return
		}
		defer s.close()
		sel, _ := s.scan(g, &Query{}, pos{}, func() error { return nil })
		if int64(len(sel.events)) > s.file.rows {
			t.Fatalf("%d events of %d", len(sel.events), s.file.rows)
		}
	})
}
