package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/portreporter/portreporter/internal/activity"
)

// A connection carries frames both ways:
//
//	+--------------+--------+------------------+
//	| length (u32) | type   | payload          |
//	| LE, 1..max   | 1 byte | length - 1 bytes |
//	+--------------+--------+------------------+
//
// Batches (frameProcesses, frameSockets, frameEvents) hold records one after
// another, each a varint length and the binary form of package activity.
//
//	client                          server
//	hello  "PRCTL" version   ->
//	                         <-     hello "PRCTL" version pid | error
//	list                     ->
//	                         <-     (processes | sockets)* end | error
//	follow  n                ->
//	                         <-     begin (forget | processes | events)* end
//	status                   ->
//	                         <-     json end | error
//	modules id               ->
//	                         <-     [modules] end | error
//
// A process is sent before the first record that names it, once a request; in
// follow, forget empties what both ends remember of processes.
const (
	frameHello byte = 1 + iota
	frameError
	frameEnd
	frameBegin
)

const (
	requestList byte = 0x10 + iota
	requestFollow
	requestStatus
	requestModules
)

const (
	frameProcesses byte = 0x20 + iota
	frameSockets
	frameEvents
	frameJSON
	frameModules
	frameForget
)

const (
	version = 1
	magic   = "PRCTL"

	maxFrame   = 16 << 20 // what a client takes
	maxRequest = 4 << 10  // what the server takes
	batchBytes = 64 << 10 // at which a batch is sent
)

// Error codes of frameError's first byte.
const (
	codeOther byte = iota
	codePermission
	codeVersion
	codeBusy
	codeUnsupported
)

// What the server refuses a client for, besides the exported errors.
var (
	errBusy    = errors.New("the recorder is busy")
	errVersion = errors.New("other version")
)

// readFrame reads one frame into buf, which it grows up to limit, and returns
// its type and payload. The payload is valid until buf is used again.
func readFrame(r io.Reader, buf *[]byte, limit int) (byte, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || uint64(n) > uint64(limit) {
		return 0, nil, fmt.Errorf("%w: frame of %d bytes, limit %d", ErrProtocol, n, limit)
	}
	if cap(*buf) < int(n) {
		*buf = make([]byte, n)
	}
	b := (*buf)[:n]
	if _, err := io.ReadFull(r, b); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return b[0], b[1:], nil
}

// frameStart appends a frame's head to b; frameFinish, given the length of b
// before, fills in its length when the payload has been appended.
func frameStart(b []byte, typ byte) []byte { return append(b, 0, 0, 0, 0, typ) }

func frameFinish(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

func appendFrame(b []byte, typ byte, payload ...byte) []byte {
	start := len(b)
	return frameFinish(append(frameStart(b, typ), payload...), start)
}

func appendHello(b []byte, pid int) []byte {
	start := len(b)
	b = append(append(frameStart(b, frameHello), magic...), version)
	return frameFinish(binary.AppendUvarint(b, uint64(pid)), start)
}

// parseHello returns the other end's version and pid (0 from clients).
func parseHello(b []byte) (ver byte, pid uint64, err error) {
	if len(b) < len(magic)+2 || string(b[:len(magic)]) != magic {
		return 0, 0, fmt.Errorf("%w: bad hello", ErrProtocol)
	}
	pid, n := binary.Uvarint(b[len(magic)+1:])
	if n <= 0 {
		return 0, 0, fmt.Errorf("%w: bad hello", ErrProtocol)
	}
	return b[len(magic)], pid, nil
}

// batch collects records of one frame type.
type batch struct {
	typ     byte
	b       []byte
	scratch []byte
}

// add appends one record, which encode appends to the slice given.
func (t *batch) add(encode func([]byte) []byte) {
	if len(t.b) == 0 {
		t.b = frameStart(t.b, t.typ)
	}
	t.scratch = encode(t.scratch[:0])
	t.b = binary.AppendUvarint(t.b, uint64(len(t.scratch)))
	t.b = append(t.b, t.scratch...)
}

// send writes what is there as one frame.
func (t *batch) send(w io.Writer) error {
	if len(t.b) == 0 {
		return nil
	}
	b := frameFinish(t.b, 0)
	t.b = t.b[:0]
	if len(b)-4 > maxFrame {
		return fmt.Errorf("%w: frame of %d bytes, limit %d", ErrProtocol, len(b)-4, maxFrame)
	}
	_, err := w.Write(b)
	return err
}

// nextRecord cuts one record off a batch's payload.
func nextRecord(b []byte) (rec, rest []byte, err error) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return nil, nil, fmt.Errorf("%w: record beyond its frame", ErrProtocol)
	}
	return b[w : w+int(n)], b[w+int(n):], nil
}

// maxKnown bounds how many processes both ends of a follow remember.
const maxKnown = 1 << 16

// sender writes records with the processes that they name. Processes and
// records have a batch each; the processes always leave first.
type sender struct {
	w           io.Writer
	procs, recs batch
	sent        map[activity.ProcessID]uint32 // revision
}

func newSender(w io.Writer, typ byte) *sender {
	return &sender{w: w, procs: batch{typ: frameProcesses}, recs: batch{typ: typ}, sent: map[activity.ProcessID]uint32{}}
}

// process makes sure that the client knows p before the next record.
func (s *sender) process(p *activity.Process) {
	if p == nil {
		return
	}
	if rev, ok := s.sent[p.ID]; ok && rev >= p.Rev {
		return
	}
	s.sent[p.ID] = p.Rev
	s.procs.add(func(b []byte) []byte { return activity.AppendProcess(b, p) })
}

func (s *sender) socket(k *activity.Socket) error {
	s.process(k.Process)
	for _, p := range k.Others {
		s.process(p)
	}
	s.recs.add(func(b []byte) []byte { return activity.AppendSocket(b, k) })
	return s.sendFull()
}

func (s *sender) event(e *activity.Event) error {
	s.process(e.Process)
	s.process(e.Holder)
	for _, p := range e.Holders {
		s.process(p)
	}
	s.recs.add(func(b []byte) []byte { return activity.AppendEvent(b, e) })
	return s.sendFull()
}

func (s *sender) sendFull() error {
	if len(s.procs.b)+len(s.recs.b) < batchBytes {
		return nil
	}
	return s.flush()
}

func (s *sender) flush() error {
	if err := s.procs.send(s.w); err != nil {
		return err
	}
	return s.recs.send(s.w)
}

// forget bounds what both ends remember, between two flushes.
func (s *sender) forget() error {
	if len(s.sent) < maxKnown {
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	clear(s.sent)
	_, err := s.w.Write(appendFrame(nil, frameForget))
	return err
}
