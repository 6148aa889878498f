package notify

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strconv"
)

// The longest line that is read back; a longer one is skipped.
const maxLine = 1 << 20

// File is a file of lines that does not grow without bounds: when it is full,
// NAME becomes NAME.1, that NAME.2, and the oldest goes. It belongs to one
// goroutine.
type File struct {
	path string
	max  int64 // bytes of each file
	keep int   // old files
	f    *os.File
	size int64
}

// OpenFile opens the file for appending, with mode 0640. A torn last line, left
// by a crash, is ended first.
func OpenFile(path string, max int64, keep int) (*File, error) {
	l := &File{path: path, max: max, keep: keep}
	return l, l.open()
}

func (l *File) open() error {
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && size > 0 {
		var last [1]byte
		if _, err = f.ReadAt(last[:], size-1); err == nil && last[0] != '\n' {
			size++
			_, err = f.Write([]byte{'\n'})
		}
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.f, l.size = f, size
	return nil
}

// Append appends a line, which has its line end.
func (l *File) Append(line []byte) error {
	if l.f == nil { // the last rotation failed
		if err := l.open(); err != nil {
			return err
		}
	}
	if l.size > 0 && l.size+int64(len(line)) > l.max {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	n, err := l.f.Write(line)
	l.size += int64(n)
	return err
}

func (l *File) rotate() error {
	err := l.f.Close()
	l.f = nil
	if err != nil {
		return err
	}
	for i := l.keep; i > 0; i-- {
		if err := os.Rename(numbered(l.path, i-1), numbered(l.path, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return l.open()
}

// Close closes the file.
func (l *File) Close() error {
	if l.f == nil {
		return nil
	}
	return l.f.Close()
}

// numbered names the n-th oldest but one: NAME, NAME.1 ...
func numbered(path string, n int) string {
	if n == 0 {
		return path
	}
	return path + "." + strconv.Itoa(n)
}

// Lines yields the lines of a File and its older ones, the oldest first, with
// their line ends cut off. A line is valid until the next. A file that is not
// there is an empty one.
func Lines(path string, keep int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for i := keep; i >= 0; i-- {
			f, err := os.Open(numbered(path, i))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				yield(nil, err)
				return
			}
			ok := lines(f, yield)
			f.Close()
			if !ok {
				return
			}
		}
	}
}

func lines(f *os.File, yield func([]byte, error) bool) bool {
	sc := bufio.NewScanner(f)
	sc.Buffer(make([]byte, 0, 64<<10), maxLine)
	for sc.Scan() {
		if !yield(sc.Bytes(), nil) {
			return false
		}
	}
	if err := sc.Err(); err != nil {
		return yield(nil, fmt.Errorf("%s: %w", f.Name(), err))
	}
	return true
}
