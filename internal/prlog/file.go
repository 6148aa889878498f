package prlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// file is one log being written, and what has not reached it yet.
type file struct {
	f       io.WriteCloser
	pending []byte
	size    int64 // with what is pending
}

// add appends text, whose lines end in \n, in the form of this system.
func (f *file) add(text []byte) {
	before := len(f.pending)
	if crlf {
		for line := range bytes.Lines(text) {
			f.pending = append(append(f.pending, bytes.TrimSuffix(line, []byte("\n"))...), "\r\n"...)
		}
	} else {
		f.pending = append(f.pending, text...)
	}
	f.size += int64(len(f.pending) - before)
}

// flush writes what is pending. What a full disk did not take stays, from the
// byte where it stopped: no line is torn unless this process ends first.
func (f *file) flush() error {
	if len(f.pending) == 0 {
		return nil
	}
	n, err := f.f.Write(f.pending)
	if n < len(f.pending) && err == nil {
		err = io.ErrShortWrite
	}
	if err != nil {
		f.pending = append(f.pending[:0], f.pending[max(0, n):]...)
		return err
	}
	f.pending = f.pending[:0]
	if cap(f.pending) > 4*flushBytes {
		f.pending = nil // a large PR-INITIAL or table has gone through
	}
	return nil
}

// set is the three logs that belong together.
type set struct {
	suffix               string
	initial, ports, pids file
}

// files lists the logs in the order in which they are written and closed.
func (s *set) files() []*file { return []*file{&s.pids, &s.ports, &s.initial} }

// createSet makes the three files, which must be new; suffix gets a further
// number where it is taken.
func createSet(dir, suffix string, create func(string) (io.WriteCloser, error)) (*set, error) {
	for n := 1; n < 100; n++ {
		s := &set{suffix: suffix}
		if n > 1 {
			s.suffix += "-" + strconv.Itoa(n)
		}
		err := s.create(dir, create)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no free name for %s in %s", suffix, dir)
}

// create makes all three files or none: a set that lacks one would be taken for
// a damaged one by whoever reads it.
func (s *set) create(dir string, create func(string) (io.WriteCloser, error)) error {
	for _, x := range []struct {
		log Log
		f   *file
	}{{LogPIDs, &s.pids}, {LogPorts, &s.ports}, {LogInitial, &s.initial}} {
		w, err := create(filepath.Join(dir, s.name(x.log)))
		if err != nil {
			s.discard(dir)
			return err
		}
		x.f.f = w
	}
	return nil
}

func (s *set) name(l Log) string { return l.String() + "-" + s.suffix + ".log" }

// discard takes back the files of a set that could not be made whole.
func (s *set) discard(dir string) {
	for i, f := range s.files() {
		if f.f != nil {
			f.f.Close()
			os.Remove(filepath.Join(dir, s.name([]Log{LogPIDs, LogPorts, LogInitial}[i])))
		}
	}
}

// flush writes what is pending: the details before the line that points at
// them. A failure of one file does not hold the others up.
func (s *set) flush() error {
	var errs []error
	for _, f := range s.files() {
		errs = append(errs, f.flush())
	}
	return errors.Join(errs...)
}

// close gives what is pending a last try. What is left stays in pending, so that
// it can be counted.
func (s *set) close() error {
	errs := []error{s.flush()}
	for _, f := range s.files() {
		errs = append(errs, f.f.Close())
	}
	return errors.Join(errs...)
}

// pendingBytes is what Event watches. PR-INITIAL is not counted: it is as large
// as it must be, and written once.
func (s *set) pendingBytes() int { return len(s.pids.pending) + len(s.ports.pending) }

// createFile makes one log file. A directory that was removed is made again.
func createFile(name string) (io.WriteCloser, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return nil, err
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o640)
}
