package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"strconv"

	"github.com/klauspost/compress/zstd"

	"github.com/portreporter/portreporter/internal/activity"
)

// Keys in the footer of a segment's events.
const (
	metaVersion = "portreporter.version"
	metaFrom    = "portreporter.from"     // time of the earliest event, UTC ns
	metaTo      = "portreporter.to"       // time of the latest
	metaRanges  = "portreporter.ranges"   // []span64 as JSON
	metaMixed   = "portreporter.mixed"    // row at which events of two low ports begin
	metaMixMin  = "portreporter.lowports" // what a low port is: below this number

	segmentVersion = 1
)

// lowPorts separates the ports that services have from those that clients are
// given: Linux hands out 32768 and up (net.ipv4.ip_local_port_range), IANA's
// dynamic ports begin at 49152. It only decides how fast a query for a port is.
const lowPorts = 32768

const (
	rowBatch   = 512
	rowGroup   = 1 << 13 // rows that sealing holds in memory
	bloomBits  = 10      // bits an address, about 1 % false positives
	zstdWindow = 128 << 10
)

// mixed reports whether both ports of an event are low, so that it is found
// under another port than the one that it is sorted by.
func mixed(e *activity.Event) bool {
	l, r := e.Local.Port(), e.Remote.Port()
	return l != 0 && r != 0 && l < lowPorts && r < lowPorts && l != r
}

// sortKey orders the rows of a segment: those with two low ports last, then by
// service port, time, position. It is a comparable form of the first three.
type sortKey struct {
	group uint32 // mixed<<16 | service port
	time  int64
	at    pos
}

func keyOf(e *activity.Event, epoch uint64) sortKey {
	return sortKey{group: groupOf(e), time: e.Time, at: pos{epoch, e.Seq}}
}

func groupOf(e *activity.Event) uint32 {
	g := uint32(e.Service())
	if mixed(e) {
		g |= 1 << 16
	}
	return g
}

// zstdCodec compresses pages of at most some tens of KiB with little memory: the
// library's own codec takes several MiB. Sealing uses the fastest level, merging,
// which has time, the default one.
type zstdCodec struct {
	enc *zstd.Encoder
}

func newZstd(level zstd.EncoderLevel) *zstdCodec {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(level),
		zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return &zstdCodec{enc}
}

func (c *zstdCodec) Encode(dst, src []byte) ([]byte, error) {
	return c.enc.EncodeAll(src, dst[:0]), nil
}

// pageRows is how finely a query can skip by time and by port. Columns of few
// words have one page in a row group.
const pageRows = 2048

// segmentWriter writes a segment's events, in the order of sortKey, into a
// directory of a temporary name.
type segmentWriter struct {
	*segmentKit
	dir   string
	t     *tableFile
	event activity.Event
	n     int // rows set in the row group
	rows  int64
	mixed int64
	from  int64
	to    int64
}

// segmentKit is the memory that writing a segment takes, for one segment after
// the other.
type segmentKit struct {
	codec *zstdCodec
	cols  []*column // of eventSchema
	words *vocabulary
	roll  rollup
}

func newSegmentKit(level zstd.EncoderLevel) *segmentKit {
	k := &segmentKit{codec: newZstd(level), cols: columnsFor(columnsOf(reflect.TypeFor[eventSchema]()), rowGroup), words: newVocabulary()}
	for i, c := range k.cols {
		if !c.columnSpec.dict {
			c.page = pageRows
		}
		c.bounds = i == colTime || i == colSeq || i == colService
		c.bloom = i == colLocalIP || i == colRemoteIP
	}
	return k
}

// newSegmentWriter begins a segment in dir, which it creates. What an earlier
// try left there goes.
func newSegmentWriter(dir string, kit *segmentKit) (*segmentWriter, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("write segment: %w", err)
	}
	if err := os.Mkdir(dir, dirMode); err != nil {
		return nil, fmt.Errorf("write segment: %w", err)
	}
	kit.roll.reset()
	for _, c := range kit.cols {
		c.reset()
	}
	t, err := createTable(dir, eventsFile, kit.codec, kit.cols)
	if err != nil {
		return nil, err
	}
	return &segmentWriter{segmentKit: kit, dir: dir, t: t, mixed: -1}, nil
}

// slot returns where the next event is to be put, before add takes it.
func (s *segmentWriter) slot() *activity.Event { return &s.event }

// add takes the event in slot.
func (s *segmentWriter) add(epoch uint64) error {
	e := &s.event
	s.count(e)
	s.words.setEvent(s.t.cols, s.n, e, epoch)
	if s.n++; s.n == rowGroup {
		s.n = 0
		return s.t.group(rowGroup)
	}
	return nil
}

func (s *segmentWriter) count(e *activity.Event) {
	if s.rows == 0 {
		s.from, s.to = e.Time, e.Time
	}
	s.from, s.to = min(s.from, e.Time), max(s.to, e.Time)
	if s.mixed < 0 && mixed(e) {
		s.mixed = s.rows
	}
	s.rows++
	s.roll.add(e)
}

// finish writes the rest, the tables and the roll-ups, and puts all on the disk.
// sets gives each module set once, by id; it is asked only at the end, when
// there is room again.
func (s *segmentWriter) finish(ranges []span64, procs map[activity.ProcessID]*activity.Process, sets iter.Seq[*activity.ModuleSet]) error {
	if err := s.t.group(s.n); err != nil {
		return err
	}
	rs, err := json.Marshal(ranges)
	if err != nil {
		return err
	}
	if s.mixed < 0 {
		s.mixed = s.rows
	}
	for _, kv := range [][2]string{{metaVersion, strconv.Itoa(segmentVersion)}, {metaFrom, strconv.FormatInt(s.from, 10)}, {metaTo, strconv.FormatInt(s.to, 10)},
		{metaRanges, string(rs)}, {metaMixed, strconv.FormatInt(s.mixed, 10)}, {metaMixMin, strconv.Itoa(lowPorts)}} {
		s.t.set(kv[0], kv[1])
	}
	err = s.t.close()
	s.t = nil
	if err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	if err := s.roll.write(s.dir, s.codec); err != nil {
		return err
	}
	if err := writeProcesses(s.dir, s.codec, procs); err != nil {
		return err
	}
	if err := writeModules(s.dir, s.codec, sets); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// abandon removes what was written.
func (s *segmentWriter) abandon() {
	if s.t != nil {
		s.t.f.Close()
	}
	os.RemoveAll(s.dir) // what stays is removed by the next Open
}

// sumFiles hashes the files of a segment.
func sumFiles(dir string) ([]fileSum, error) {
	var sums []fileSum
	for _, name := range segmentFiles() {
		s, err := sumFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("hash segment: %w", err)
		}
		s.Name = name
		sums = append(sums, s)
	}
	return sums, nil
}

func sumFile(path string) (s fileSum, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	h := sha256.New()
	if s.Bytes, err = io.Copy(h, f); err != nil {
		return s, err
	}
	s.SHA256 = hex.EncodeToString(h.Sum(nil))
	return s, nil
}
