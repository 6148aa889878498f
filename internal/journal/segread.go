package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"

	"github.com/portreporter/portreporter/internal/activity"
)

// segment is a sealed segment open for reading.
type segment struct {
	dir    string
	f      *os.File
	file   *fileMeta
	from   int64 // times of its events
	to     int64
	mixed  int64 // rows from here on have two low ports
	low    uint16
	ranges []span64
	procs  *processTable // nil until needed
}

func openSegment(dir string) (s *segment, err error) {
	f, err := os.Open(filepath.Join(dir, eventsFile))
	if err != nil {
		return nil, err
	}
	s = &segment{dir: dir, f: f}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if s.file, err = readFooter(f, st.Size()); err != nil {
		return nil, err
	}
	return s, s.readMeta()
}

// readMeta reads the footer's facts and checks that the columns are the known
// ones: later versions may add some at the end.
func (s *segment) readMeta() (err error) {
	facts := s.file.facts
	number := func(key string) int64 {
		n, e := strconv.ParseInt(facts[key], 10, 64)
		if err == nil && e != nil {
			err = fmt.Errorf("no %s in the footer", key)
		}
		return n
	}
	if v := number(metaVersion); err == nil && v != segmentVersion {
		return fmt.Errorf("version %d: this program reads version %d", v, segmentVersion)
	}
	s.from, s.to, s.mixed, s.low = number(metaFrom), number(metaTo), number(metaMixed), uint16(number(metaMixMin))
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(facts[metaRanges]), &s.ranges); err != nil || len(s.ranges) == 0 {
		return errors.New("no ranges in the footer")
	}
	return checkColumns(s.file, columnsOf(reflect.TypeFor[eventSchema]()))
}

// checkColumns makes sure that a file begins with these columns.
func checkColumns(m *fileMeta, specs []columnSpec) error {
	for i := range specs {
		if i >= len(m.columns) || m.columns[i] != (columnMeta{specs[i].name, specs[i].physical()}) {
			return fmt.Errorf("column %s is missing", specs[i].name)
		}
	}
	return nil
}

func (s *segment) close() error {
	s.procs.close()
	return s.f.Close()
}

// load opens the process table. g decompresses it, and knows processes of other
// segments.
func (s *segment) load(g *groupReader) (err error) {
	if s.procs == nil {
		if s.procs, err = lookProcesses(s.dir, g.src.dec, g.made); err != nil {
			err = s.processesDamaged(err)
		}
	}
	return err
}

func (s *segment) processesDamaged(err error) error {
	return &CorruptError{Name: filepath.Join(filepath.Base(s.dir), processesFile), Cause: err}
}

// trouble tells why processes could not be made: their events have bare numbers.
func (s *segment) trouble() error {
	if s.procs == nil || s.procs.err == nil {
		return nil
	}
	return s.processesDamaged(s.procs.err)
}

func (s *segment) process(id activity.ProcessID) *activity.Process { return s.procs.process(id) }
