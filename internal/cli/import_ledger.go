package cli

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/journal"
)

// ledgerName is the file, beside the journal's own, that lists what was imported.
const ledgerName = "imports.jsonl"

// ledgerEntry is a line of it, one for each file when its import begins, and one
// when it has ended.
type ledgerEntry struct {
	V      int    `json:"v"`
	Time   string `json:"time"`
	Epoch  uint64 `json:"epoch"` // of the journal: one import is one
	State  string `json:"state"` // begun or done
	File   string `json:"file"`
	Format string `json:"format"`
	Bytes  int64  `json:"bytes"` // of the text, uncompressed and as UTF-8
	SHA256 string `json:"sha256"`
	Events uint64 `json:"events,omitempty"` // of the set or file, once it is done
	Errors uint64 `json:"errors,omitempty"`
}

// ledger knows what a record was imported from.
type ledger struct {
	path  string
	host  string // that the record is of; "" unknown, or no record yet
	files []ledgerEntry
}

// openLedger reads what was imported into dir. Only a new directory, or a record
// that is made of imports alone, is taken.
func openLedger(dir string) (*ledger, error) {
	l := &ledger{path: filepath.Join(dir, ledgerName)}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l, nil
	case err != nil:
		return nil, err
	}
	f, err := os.Open(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && journal.Exists(dir):
		return nil, usagef("%s is a recorder's record, which must hold nothing else: import into another directory", dir)
	case errors.Is(err, fs.ErrNotExist) && len(entries) > 0:
		return nil, usagef("%s is not empty, and no record: import into a new directory", dir)
	case errors.Is(err, fs.ErrNotExist):
		return l, nil
	case err != nil:
		return nil, err
	}
	defer f.Close()
	if err := l.read(f); err != nil {
		return nil, fmt.Errorf("%s: %w", l.path, err)
	}
	r, err := journal.OpenReader(dir)
	if err == nil {
		l.host = r.Host()
	}
	return l, err
}

// read takes the lines in. An import that began and did not end leaves events that
// another would double.
func (l *ledger) read(r io.Reader) error {
	var begun, done uint64
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var e ledgerEntry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("not a list of imports: %w", err)
		}
		if e.State == "begun" {
			begun = max(begun, e.Epoch)
			continue
		}
		done = max(done, e.Epoch)
		l.files = append(l.files, e)
	}
	if begun > done {
		return fmt.Errorf("the last import was cut short, or still runs: if not, remove %s, and import all logs again", filepath.Dir(l.path))
	}
	return lines.Err()
}

// lengths lists the lengths of what was imported, each once, the shortest first.
func (l *ledger) lengths() (ns []int64) {
	for _, e := range l.files {
		if e.Bytes > 0 {
			ns = append(ns, e.Bytes)
		}
	}
	slices.Sort(ns)
	return slices.Compact(ns)
}

// has returns the name under which a text was imported, "" if it was not.
func (l *ledger) has(bytes int64, sum string) string {
	for _, e := range l.files {
		if e.Bytes == bytes && e.SHA256 == sum {
			return e.File
		}
	}
	return ""
}

func (l *ledger) begin(epoch uint64, jobs []*job) error { return l.append("begun", epoch, jobs) }
func (l *ledger) end(epoch uint64, jobs []*job) error   { return l.append("done", epoch, jobs) }

func (l *ledger) append(state string, epoch uint64, jobs []*job) error {
	var b []byte
	for _, j := range jobs {
		for _, s := range j.files {
			e := ledgerEntry{V: 1, Time: time.Now().UTC().Format(time.RFC3339), Epoch: epoch, State: state, File: s.name, Format: j.format.String(),
				Bytes: s.bytes, SHA256: s.sum}
			if state == "done" {
				e.Events, e.Errors = j.Events, j.Errors
			}
			line, err := json.Marshal(e)
			if err != nil {
				return err
			}
			b = append(append(b, line...), '\n')
		}
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// sumOf is one sum over those of all files, in their order.
func sumOf(jobs []*job) string {
	var all strings.Builder
	for _, j := range jobs {
		for _, s := range j.files {
			fmt.Fprintf(&all, "%s\n", s.sum)
		}
	}
	sum := sha256.Sum256([]byte(all.String()))
	return hex.EncodeToString(sum[:])
}
