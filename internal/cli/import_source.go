package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/foreign"
	"github.com/portreporter/portreporter/internal/prlog"
)

// source is one file to import.
type source struct {
	path   string // as it is opened
	name   string // as it is told: "-" is standard input
	found  bool   // in a directory, and not named itself
	format foreign.Format

	log    prlog.Log // classic logs
	suffix string
	header prlog.Header
	goesOn string // PR-INITIAL without mappings: suffix of the set that has them
	host   string // "" the log does not say

	bytes int64  // of its text
	sum   string // SHA-256 of its text, in hex: the same however it is compressed or encoded
}

func (s *source) base() string { return filepath.Base(s.name) }

// job is what is read together: a set of classic logs, or one other log.
type job struct {
	format    foreign.Format
	host      string
	files     []*source
	suffix    string // classic logs; "" where the name tells none
	continues *job   // the set before, where this one only goes on with it
	began     int64  // UTC ns; 0 unknown
	listeners map[netip.AddrPort]bool

	Events, Errors uint64
	foreign.Skipped
	first, last int64 // UTC ns, of the events
}

func (j *job) name() string {
	if len(j.files) == 1 {
		return j.files[0].name
	}
	return filepath.Join(filepath.Dir(j.files[0].name), "PR-*-"+j.suffix+".log")
}

func (j *job) count(e *activity.Event) {
	j.Events++
	if j.first == 0 || e.Time < j.first {
		j.first = e.Time
	}
	j.last = max(j.last, e.Time)
}

// appendJSON appends the job as a line of `import --json`; names are only ever
// added.
func (j *job) appendJSON(b []byte) []byte {
	files := make([]string, len(j.files))
	for i, s := range j.files {
		files[i] = s.name
	}
	line, err := json.Marshal(struct {
		V       int      `json:"v"`
		Files   []string `json:"files"`
		Format  string   `json:"format"`
		Host    string   `json:"host,omitempty"`
		Events  uint64   `json:"events"`
		From    string   `json:"from,omitempty"`
		To      string   `json:"to,omitempty"`
		Errors  uint64   `json:"errors"`
		Other   uint64   `json:"other"`
		Foreign uint64   `json:"other_hosts"`
	}{1, files, j.format.String(), j.host, j.Events, utc(j.first), utc(j.last), j.Errors, j.Other, j.Foreign})
	if err != nil {
		return b // texts and numbers alone: it has none
	}
	return append(append(b, line...), '\n')
}

func utc(ns int64) string {
	if ns == 0 {
		return ""
	}
	return time.Unix(0, ns).UTC().Format(time.RFC3339Nano)
}

// find looks at every file that the arguments name, or that is in a directory
// they name, and leaves out what the record has already.
func (im *importer) find(ctx context.Context, args []string) (all []*source, err error) {
	seen := map[string]string{} // by sum
	had := 0
	for s, err := range im.candidates(args) {
		if err == nil {
			err = ctx.Err()
		}
		var known bool
		if err == nil {
			known, err = im.survey(s)
		}
		switch {
		case err != nil && s != nil && s.found && ctx.Err() == nil: // one of many, that nobody named
			im.note("%v", err)
			im.unread++
			continue
		case err != nil:
			return nil, err
		case s.format == foreign.Unknown: // found, and something else
			continue
		case known:
			im.note("%s was imported already", s.name)
			had++
			continue
		case seen[s.sum] != "" && s.bytes > 0:
			im.note("%s is the same as %s", s.name, seen[s.sum])
			continue
		}
		seen[s.sum] = s.name
		all = append(all, s)
	}
	if len(all)+had+im.unread == 0 {
		return nil, fmt.Errorf("no log that can be read here is in %s", strings.Join(args, ", "))
	}
	return all, nil
}

// candidates yields the files, those of directories by name.
func (im *importer) candidates(args []string) iter.Seq2[*source, error] {
	return func(yield func(*source, error) bool) {
		for _, a := range args {
			st, err := os.Stat(a)
			if a == "-" || err != nil || !st.IsDir() {
				path := a
				if a == "-" || err == nil && !st.Mode().IsRegular() {
					path, err = im.spool(a)
				}
				if !yield(&source{path: path, name: a}, err) {
					return
				}
				continue
			}
			// With its separator, a link to a directory is walked too.
			err = filepath.WalkDir(a+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
				if err != nil && d != nil && path != a {
					im.note("%v", err)
					im.unread++
					return fs.SkipDir
				}
				if err == nil && d.Type().IsRegular() && im.looksLike(d.Name()) && !yield(&source{path: path, name: path, found: true}, nil) {
					return fs.SkipAll
				}
				return err
			})
			if err != nil && !yield(nil, err) {
				return
			}
		}
	}
}

// spool copies what can be read once only, standard input or a pipe, to a file:
// it is read more than once.
func (im *importer) spool(name string) (path string, err error) {
	in := im.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	f, err := os.CreateTemp("", "portreporter-import-*")
	if err != nil {
		return "", err
	}
	im.spools = append(im.spools, f.Name())
	_, err = io.Copy(f, in)
	return f.Name(), errors.Join(err, f.Close())
}

// looksLike tells by a file's name whether it is a log of the wanted format.
func (im *importer) looksLike(name string) bool {
	name = strings.ToLower(bare(name))
	_, _, classic := prlog.ParseName(name)
	want := im.o.format
	return classic && (want == "auto" || want == "pr") ||
		strings.HasSuffix(name, ".xml") && (want == "auto" || want == "sysmon") ||
		strings.HasPrefix(name, "conn") && (strings.HasSuffix(name, ".log") || strings.HasSuffix(name, ".json")) && (want == "auto" || want == "zeek")
}

// bare takes the ending of a compressed file off its name.
func bare(name string) string {
	for _, ext := range []string{".gz", ".zst"} {
		if len(name) > len(ext) && strings.EqualFold(name[len(name)-len(ext):], ext) {
			return name[:len(name)-len(ext)]
		}
	}
	return name
}

// survey finds out what a file is and sums it. known: the record has it.
func (im *importer) survey(s *source) (known bool, err error) {
	f, err := os.Open(s.path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	in, err := foreign.Open(f)
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.name, err)
	}
	defer in.Close()
	head, err := in.Head()
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.name, err)
	}
	if err := im.identify(s, head); err != nil || s.format == foreign.Unknown {
		return false, err
	}
	// The sums of what it began with show a log that was imported when it was
	// shorter. A file that ends early, as a torn gzip does, is told when it is read.
	sum := sha256.New()
	for _, n := range im.ledger.lengths() {
		m, err := io.CopyN(sum, in, n-s.bytes)
		s.bytes += m
		if err != nil {
			break
		}
		if before := im.ledger.has(n, hexSum(sum)); before != "" {
			more, _ := io.CopyN(io.Discard, in, 1)
			if more == 0 {
				return true, nil
			}
			return false, fmt.Errorf("%s has grown since it was imported as %s: import all logs anew, into another directory", s.name, before)
		}
	}
	rest, _ := io.Copy(sum, in)
	s.bytes += rest
	s.sum = hexSum(sum)
	return im.ledger.has(s.bytes, s.sum) != "", nil
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// identify tells the format of a file, and what its head says. A file that was
// named and is none of them is an error, one that was found is left alone.
func (im *importer) identify(s *source, head []byte) (err error) {
	log, suffix, classic := prlog.ParseName(bare(s.base()))
	s.format = foreign.Detect(head)
	for _, f := range []foreign.Format{foreign.Classic, foreign.Sysmon, foreign.Zeek} {
		if f.String() == im.o.format && !s.found {
			s.format = f
		}
	}
	if s.format == foreign.Unknown && classic {
		s.format = foreign.Classic // with nothing in it but its head, or less
	}
	switch {
	case s.format == foreign.Unknown && !s.found:
		if bytes.HasPrefix(head, []byte("ElfFile\x00")) {
			return fmt.Errorf("%s is Windows' own binary form: write it as XML first, with wevtutil qe %s /lf:true /f:xml", s.name, s.base())
		}
		return fmt.Errorf("%s is none of the logs that can be read here: say what it is with --format", s.name)
	case s.format == foreign.Sysmon:
		s.host = foreign.ComputerOf(head)
	case s.format == foreign.Classic:
		s.header, err = prlog.ReadHeader(bytes.NewReader(head), im.o.zone)
		s.host, s.suffix, s.log = s.header.Computer, suffix, log
		if s.log == prlog.LogNone {
			s.log = s.header.Log
		}
		if s.log == prlog.LogNone && err == nil {
			s.log = prlog.LogPorts
		}
		if s.log == prlog.LogInitial {
			first, _ := prlog.ReadInitial(bytes.NewReader(head), prlog.ReadOptions{}) // what is wrong is told when all of it is read
			_, s.goesOn, _ = prlog.ParseName(first.Continues)
		}
	}
	return err
}

// group puts the logs of one set together, chooses the host, and orders all by
// when they began.
func (im *importer) group(sources []*source) ([]*job, error) {
	var jobs []*job
	sets := map[string]*job{}
	for _, s := range sources {
		key := filepath.Dir(s.name) + "\x00" + s.suffix
		j := sets[key]
		// A second log of one kind with one time in its name, which a copy beside the
		// log may be, begins a set of its own.
		if s.format != foreign.Classic || s.suffix == "" || j == nil || j.file(s.log) != nil {
			j = &job{format: s.format, suffix: s.suffix}
			jobs = append(jobs, j)
			if s.format == foreign.Classic && s.suffix != "" && sets[key] == nil {
				sets[key] = j
			}
		}
		j.files = append(j.files, s)
		j.host = cmp.Or(j.host, s.host)
	}
	jobs, err := im.chooseHost(jobs)
	for _, j := range jobs {
		j.began = im.beginning(j)
	}
	slices.SortStableFunc(jobs, func(a, b *job) int { return cmp.Or(cmp.Compare(a.began, b.began), cmp.Compare(a.name(), b.name())) })
	link(jobs)
	return jobs, err
}

// link finds the sets that go on with the one before: its mappings, and so its
// listeners and processes, are theirs too.
func link(jobs []*job) {
	for i, j := range jobs {
		j.listeners = map[netip.AddrPort]bool{}
		first := j.file(prlog.LogInitial)
		if j.format != foreign.Classic || i == 0 || first == nil || first.goesOn == "" {
			continue
		}
		if before := jobs[i-1]; before.origin() == first.goesOn || before.suffix == first.goesOn {
			j.continues, j.listeners = before, before.listeners
		}
	}
}

// origin is what tells the job's processes from others'.
func (j *job) origin() string {
	if j.continues != nil {
		return j.continues.origin()
	}
	return cmp.Or(j.suffix, j.files[0].sum)
}

// file returns the set's log of a kind, nil for none.
func (j *job) file(l prlog.Log) *source {
	for _, s := range j.files {
		if s.log == l {
			return s
		}
	}
	return nil
}

// chooseHost keeps the jobs of one host: a record is of one.
func (im *importer) chooseHost(jobs []*job) ([]*job, error) {
	im.host = im.o.host
	var hosts []string
	for _, j := range jobs {
		if j.host != "" && !slices.ContainsFunc(hosts, func(h string) bool { return sameHost(h, j.host) }) {
			hosts = append(hosts, j.host)
		}
	}
	of := im.ledger.host
	switch {
	case im.host == "" && len(hosts) > 1:
		return nil, usagef("these are logs of %s: name one with --host, each into a directory of its own", strings.Join(hosts, ", "))
	case im.host == "" && len(hosts) == 1:
		im.host = hosts[0]
	case im.host == "":
		im.host = of
	}
	if of != "" && !sameHost(of, im.host) {
		return nil, usagef("%s is the record of %s, and these are logs of %s: import them into another directory", im.o.dir, of, im.host)
	}
	return slices.DeleteFunc(jobs, func(j *job) bool {
		other := j.host != "" && !sameHost(j.host, im.host)
		if other {
			im.note("%s is of %s, and left out", j.name(), j.host)
		}
		return other
	}), nil
}

// sameHost compares names of hosts, of which one may be without its domain.
func sameHost(a, b string) bool {
	shortA, _, _ := strings.Cut(a, ".")
	shortB, _, _ := strings.Cut(b, ".")
	return strings.EqualFold(a, b) || strings.EqualFold(a, shortB) || strings.EqualFold(shortA, b)
}

// zone is the location of a set's times: what was asked for, else what one of its
// logs says, else the machine's.
func (im *importer) zone(j *job) *time.Location {
	if im.o.zone != nil {
		return im.o.zone
	}
	for _, s := range j.files {
		if l := s.header.Location(); l != nil {
			return l
		}
	}
	return time.Local
}

// beginning is when a set began, by its heads or else its name; 0 for other logs,
// whose events tell.
func (im *importer) beginning(j *job) int64 {
	loc := im.zone(j)
	// The header was read in another location than the set turned out to be in: its
	// clock counts.
	for _, s := range j.files {
		if d := s.header.Date; !d.IsZero() {
			return time.Date(d.Year(), d.Month(), d.Day(), d.Hour(), d.Minute(), d.Second(), 0, loc).UnixNano()
		}
	}
	var v [6]int
	fields := strings.Split(j.suffix, "-")
	if len(fields) < len(v) {
		return 0
	}
	// The names' years have two digits: the original is of 2004.
	for i := range v {
		v[i], _ = strconv.Atoi(fields[i]) // ParseName has seen digits
	}
	return time.Date(2000+v[0], time.Month(v[1]), v[2], v[3], v[4], v[5], 0, loc).UnixNano()
}

// read yields the events of a job. What cannot be read is told.
func (im *importer) read(j *job) iter.Seq[*activity.Event] {
	return func(yield func(*activity.Event) bool) {
		var inputs [4]*foreign.Input
		for i, s := range j.files {
			f, err := os.Open(s.path)
			if err != nil {
				im.tell(j, s.name, err)
				continue
			}
			defer f.Close()
			in, err := foreign.Open(f)
			if err != nil {
				im.tell(j, s.name, err)
				continue
			}
			defer in.Close()
			if j.format == foreign.Classic { // a set's by their kind, another log at 0
				i = int(s.log)
			}
			inputs[i] = in
		}
		origin := strings.ToLower(im.host) + "\x00" + j.origin()
		if j.format == foreign.Classic {
			im.readSet(j, inputs, origin, yield)
			return
		}
		if inputs[0] == nil {
			return
		}
		opt := foreign.Options{Host: cmp.Or(j.host, im.host), Origin: origin, Local: im.o.nets, Skipped: &j.Skipped}
		for e, err := range foreign.Events(j.format, inputs[0], opt) {
			if err != nil {
				im.tell(j, j.files[0].name, err)
			} else if !yield(e) {
				return
			}
		}
	}
}

// readSet yields the events of a set of classic logs.
func (im *importer) readSet(j *job, inputs [4]*foreign.Input, origin string, yield func(*activity.Event) bool) {
	var set prlog.Set
	for l, to := range map[prlog.Log]*io.Reader{prlog.LogInitial: &set.Initial, prlog.LogPorts: &set.Ports, prlog.LogPIDs: &set.PIDs} {
		if inputs[l] != nil {
			*to = inputs[l]
		}
	}
	opt := prlog.SetOptions{Location: im.zone(j), Origin: origin, Began: j.began, Listeners: j.listeners, Modules: im.w.Modules}
	for e, err := range set.Events(opt) {
		if err == nil {
			if !yield(e) {
				return
			}
			continue
		}
		name := j.name()
		var line *prlog.LineError
		if errors.As(err, &line) {
			if s := j.file(line.Log); s != nil {
				name = s.name
			}
		}
		im.tell(j, name, err)
	}
}
