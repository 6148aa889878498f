package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// The chain is the journal's history of itself: JSON Lines, each naming the
// SHA-256 of the line before (without its newline), so that no line can be
// changed or taken out unseen.

// What a chain record tells.
const (
	opOpen   = "open"   // a live log was begun
	opSeal   = "seal"   // Inputs, live logs, became Segment
	opMerge  = "merge"  // Inputs, segments, became Segment
	opRemove = "remove" // Segment was removed by retention
	opEmpty  = "empty"  // Live held no event, after a crash, and was removed
)

const (
	chainVersion = 1
	maxChainLine = 1 << 20
)

// record is one line of the chain.
type record struct {
	V       int       `json:"v"`
	N       uint64    `json:"n"` // from 1, without holes
	Time    int64     `json:"time"`
	Op      string    `json:"op"`
	Host    string    `json:"host,omitempty"`
	Live    string    `json:"live,omitempty"`
	Segment string    `json:"segment,omitempty"`
	Files   []fileSum `json:"files,omitempty"`
	Ranges  []span64  `json:"ranges,omitempty"`
	From    int64     `json:"from,omitempty"` // times of the events, UTC ns
	To      int64     `json:"to,omitempty"`
	Inputs  []string  `json:"inputs,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Prev    string    `json:"prev"` // "" for the first record
}

// fileSum is one file of a segment.
type fileSum struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// span64 counts the events that a piece holds of one epoch. Count is lower than
// the span only where events are missing.
type span64 struct {
	Epoch uint64 `json:"epoch"`
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	Count uint64 `json:"count"`
	From  int64  `json:"from"` // times of these events, UTC ns
	To    int64  `json:"to"`
}

// count sums the events of ranges.
func count(rs []span64) (n uint64) {
	for _, r := range rs {
		n += r.Count
	}
	return n
}

// addPos counts an event into ranges that grow in order of position.
func addPos(rs []span64, p pos, time int64) []span64 {
	return joinRanges(rs, []span64{{Epoch: p.epoch, First: p.seq, Last: p.seq, Count: 1, From: time, To: time}})
}

// joinRanges adds b's ranges to a's, which come before them: where b goes on in
// a's last epoch, that range grows.
func joinRanges(a, b []span64) []span64 {
	for _, r := range b {
		if len(a) == 0 || a[len(a)-1].Epoch != r.Epoch {
			a = append(a, r)
			continue
		}
		l := &a[len(a)-1]
		l.First, l.Last, l.Count = min(l.First, r.First), max(l.Last, r.Last), l.Count+r.Count
		l.From, l.To = min(l.From, r.From), max(l.To, r.To)
	}
	return a
}

// chain is the append side. Sealing and rotation come from two goroutines.
type chain struct {
	mu   sync.Mutex
	f    *os.File // guarded by mu, as all below
	size int64    // up to the last whole line
	n    uint64
	head string
}

// openChain opens or creates the chain, cuts a torn last line, and gives every
// record to visit.
func openChain(dir string, visit func(*record)) (*chain, error) {
	f, err := os.OpenFile(filepath.Join(dir, chainName), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("open chain: %w", err)
	}
	c := &chain{f: f}
	for l, err := range chainLines(f) {
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("open chain: %w", err)
		}
		c.size, c.head = l.end, l.sum
		// A line that does not parse is Verify's to report; the chain goes on after it.
		c.n++
		if l.err == nil {
			c.n = l.rec.N
			visit(&l.rec)
		}
	}
	if err := f.Truncate(c.size); err != nil {
		f.Close()
		return nil, fmt.Errorf("open chain: %w", err)
	}
	return c, nil
}

// append adds a record, filling in its number and hash, and puts it on the disk
// when durable is set. After a failure the chain is as it was.
func (c *chain) append(r record, durable bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.V, r.N, r.Prev = chainVersion, c.n+1, c.head
	line, err := json.Marshal(&r)
	if err != nil {
		return fmt.Errorf("append to chain: %w", err)
	}
	if len(line) >= maxChainLine {
		return fmt.Errorf("append to chain: record of %d bytes", len(line))
	}
	if _, err = c.f.WriteAt(append(line, '\n'), c.size); err == nil && durable {
		err = syncData(c.f)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("append to chain: %w", err), c.f.Truncate(c.size))
	}
	c.size += int64(len(line)) + 1
	c.n, c.head = r.N, sum(line)
	return nil
}

func (c *chain) close() error { return c.f.Close() }

// chainLine is one whole line: a record, or why it is none.
type chainLine struct {
	rec record
	err error
	sum string // SHA-256 of the line, which the next record repeats
	end int64  // offset after its newline
}

// chainLines reads whole lines; a last line without its newline is not given.
func chainLines(r io.Reader) func(yield func(chainLine, error) bool) {
	return func(yield func(chainLine, error) bool) {
		br := bufio.NewReaderSize(r, maxChainLine)
		var end int64
		for {
			line, err := br.ReadSlice('\n')
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(chainLine{}, fmt.Errorf("read chain: %w", err))
				return
			}
			end += int64(len(line))
			line = bytes.TrimSuffix(line, []byte{'\n'})
			l := chainLine{sum: sum(line), end: end}
			l.rec, l.err = parseRecord(line)
			if !yield(l, nil) {
				return
			}
		}
	}
}

// parseRecord reads one line of the chain. Fields that it does not know belong
// to later versions and are let pass.
func parseRecord(line []byte) (r record, err error) {
	if err := json.Unmarshal(line, &r); err != nil {
		return record{}, fmt.Errorf("chain record: %w", err)
	}
	if r.N == 0 || r.Op == "" {
		return record{}, errors.New("chain record: no number or no operation")
	}
	return r, nil
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
