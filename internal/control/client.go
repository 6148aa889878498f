package control

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// answerTimeout is how long a client waits for the next frame of an answer. A
// recorder answers between two batches, in some milliseconds at any load; one
// that takes this long is stopped or hangs, and who asks should be told.
const answerTimeout = 5 * time.Second

// Client talks to a running recorder. One request runs at a time; a second one
// waits for the first. After an error of the connection, an answer not read to
// its end, or Follow, the Client is of no more use.
type Client struct {
	pid int

	mu       sync.Mutex // held during a request
	conn     net.Conn
	buf      []byte
	patience time.Duration // for each frame of an answer; 0 without end
}

// Dial connects to the recorder that listens on path. The error wraps
// ErrNotRunning, ErrPermission, ErrProtocol (another version), ErrNoAnswer or
// ErrUnsupported, and is fit to be shown as it is.
func Dial(ctx context.Context, path string) (*Client, error) {
	c, err := dial(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("connect to the recorder: %w", err)
	}
	return newClient(ctx, c)
}

func newClient(ctx context.Context, conn net.Conn) (*Client, error) {
	c := &Client{conn: conn, patience: answerTimeout}
	defer c.watch(ctx)()
	c.await(ctx)
	if err := c.hello(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to the recorder: %w", c.cause(ctx, err))
	}
	return c, nil
}

// hello is said first by the client: a stranger that is no client of ours, such
// as a browser, shows itself before the recorder has said anything.
func (c *Client) hello() error {
	if _, err := c.conn.Write(appendHello(nil, 0)); err != nil {
		return err
	}
	typ, payload, err := readFrame(c.conn, &c.buf, maxFrame)
	switch {
	case err != nil:
		return err
	case typ == frameError:
		return parseError(payload)
	case typ != frameHello:
		return fmt.Errorf("%w: answer %d to hello", ErrProtocol, typ)
	}
	ver, pid, err := parseHello(payload)
	if err == nil && ver != version {
		err = fmt.Errorf("%w: the recorder speaks version %d, this program %d; use the same release of both", ErrProtocol, ver, version)
	}
	c.pid = int(pid)
	return err
}

// PID returns the recorder's process id.
func (c *Client) PID() int { return c.pid }

// Close gives the connection up. It makes a request under way fail.
func (c *Client) Close() error { return c.conn.Close() }

// watch makes ctx interrupt reads and writes until the returned function is
// called.
func (c *Client) watch(ctx context.Context) func() {
	c.conn.SetDeadline(time.Time{})
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		c.conn.SetDeadline(time.Unix(1, 0))
	})
	return func() {
		if !stop() {
			<-done // or it would spoil the next request
		}
	}
}

// await gives the recorder until the end of c.patience for what comes next.
func (c *Client) await(ctx context.Context) {
	end := time.Time{}
	if c.patience > 0 {
		end = time.Now().Add(c.patience)
	}
	c.conn.SetDeadline(end)
	if ctx.Err() != nil { // watch may have set its deadline just before
		c.conn.SetDeadline(time.Unix(1, 0))
	}
}

// cause prefers ctx's reason to the deadline that watch set because of it.
func (c *Client) cause(ctx context.Context, err error) error {
	if ctxErr := context.Cause(ctx); ctxErr != nil {
		return ctxErr
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w within %v: it is stopped, or hangs", ErrNoAnswer, c.patience)
	}
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, e) {
			return fmt.Errorf("the recorder closed the connection: %w", err)
		}
	}
	return err
}

// ask sends a request and gives each frame of its answer to each, until end.
// Whatever leaves the answer unread gives the connection up.
func (c *Client) ask(ctx context.Context, what string, request []byte, each func(typ byte, payload []byte) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.watch(ctx)()
	// An answer of which a part was left unread would be taken for the next
	// request's: such a connection is of no more use.
	whole, err := c.exchange(ctx, request, each)
	if err != nil {
		err = fmt.Errorf("%s: %w", what, c.cause(ctx, err))
	}
	if !whole {
		c.conn.Close()
	}
	return err
}

// exchange reports whether the answer was read to its end, which an answer can
// be that is an error.
func (c *Client) exchange(ctx context.Context, request []byte, each func(byte, []byte) error) (whole bool, err error) {
	c.await(ctx)
	if _, err := c.conn.Write(request); err != nil {
		return false, err
	}
	for {
		c.await(ctx)
		typ, payload, err := readFrame(c.conn, &c.buf, maxFrame)
		switch {
		case err != nil:
			return false, err
		case typ == frameEnd:
			return true, nil
		case typ == frameError:
			return true, parseError(payload)
		}
		if err := each(typ, payload); err != nil {
			return false, err
		}
	}
}

// Status decodes the recorder's status document into v, as json.Unmarshal does.
func (c *Client) Status(ctx context.Context, v any) error {
	return c.ask(ctx, "status", appendFrame(nil, requestStatus), func(typ byte, payload []byte) error {
		if typ != frameJSON {
			return unexpected(typ)
		}
		return json.Unmarshal(payload, v)
	})
}

// Modules returns an interned module set, or nil when the recorder does not
// know it (any more).
func (c *Client) Modules(ctx context.Context, id activity.ModuleSetID) (m *activity.ModuleSet, err error) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(id))
	err = c.ask(ctx, "modules", appendFrame(nil, requestModules, b[:]...), func(typ byte, payload []byte) (err error) {
		if typ != frameModules {
			return unexpected(typ)
		}
		m, err = activity.DecodeModuleSet(payload)
		return err
	})
	return m, err
}

// errStop ends an answer because the caller wants no more of it.
var errStop = errors.New("stopped by the caller")

// List yields every socket of the recorder's table. The sockets are the
// caller's to keep, and those of one process share its Process. An error is
// the last thing that is yielded.
func (c *Client) List(ctx context.Context) iter.Seq2[*activity.Socket, error] {
	return func(yield func(*activity.Socket, error) bool) {
		known := processes{}
		err := c.ask(ctx, "list", appendFrame(nil, requestList), func(typ byte, payload []byte) error {
			switch typ {
			case frameProcesses:
				return known.add(payload)
			case frameSockets:
				return eachRecord(payload, minSocket, func(b []byte, s *activity.Socket) error {
					return activity.DecodeSocket(b, s, known.get)
				}, yield)
			}
			return unexpected(typ)
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

// Follow yields live events as the recorder writes them, first the newest
// recent ones on record (0 none). Where this client was too slow it yields a
// gap event with what was dropped for it. It ends when the recorder stops in
// good order, else with an error as the last thing. It takes the connection
// over: whatever ends it, the Client is closed.
func (c *Client) Follow(ctx context.Context, recent int) iter.Seq2[*activity.Event, error] {
	return c.FollowFrom(ctx, recent, func() {})
}

// FollowFrom is Follow that calls begun as soon as no event can be missed any
// more: a table that is asked for after that, on another Client, has all that
// came before.
func (c *Client) FollowFrom(ctx context.Context, recent int, begun func()) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		defer c.Close()
		known := processes{}
		request := binary.AppendUvarint(frameStart(nil, requestFollow), uint64(max(recent, 0)))
		err := c.ask(ctx, "follow", frameFinish(request, 0), func(typ byte, payload []byte) error {
			switch typ {
			case frameBegin:
				c.patience = 0 // events come when they come
				begun()
				return nil
			case frameForget:
				known.forget()
				return nil
			case frameProcesses:
				return known.add(payload)
			case frameEvents:
				return eachRecord(payload, minEvent, func(b []byte, e *activity.Event) error {
					return activity.DecodeEvent(b, e, known.get)
				}, yield)
			}
			return unexpected(typ)
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

// The fewest bytes that a record takes in a batch, with its length.
const (
	minSocket = 16
	minEvent  = 9
)

// slabSize is how many records are allocated together: pointers into a slab
// keep all of it alive, so it is not a whole frame's worth.
const slabSize = 128

// eachRecord decodes a batch's records into slabs and yields them. smallest
// bounds what is allocated by the bytes that are there.
func eachRecord[T any](b []byte, smallest int, decode func([]byte, *T) error, yield func(*T, error) bool) error {
	var slab []T
	for len(b) > 0 {
		rec, rest, err := nextRecord(b)
		if err != nil {
			return err
		}
		if len(slab) == 0 {
			slab = make([]T, min(slabSize, 1+len(b)/smallest))
		}
		if err := decode(rec, &slab[0]); err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		if !yield(&slab[0], nil) {
			return errStop
		}
		slab, b = slab[1:], rest
	}
	return nil
}

// processes are those that the server has sent on this connection.
type processes map[activity.ProcessID]*activity.Process

func (k processes) get(id activity.ProcessID) *activity.Process { return k[id] }

// forget keeps pace with the server's sender, which will send again what is
// named again. Events that were yielded keep their processes.
func (k processes) forget() { clear(k) }

// add takes a batch of processes. A later revision replaces the one before, for
// the records that follow.
func (k processes) add(b []byte) error {
	for len(b) > 0 {
		rec, rest, err := nextRecord(b)
		if err != nil {
			return err
		}
		p, err := activity.DecodeProcess(rec)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		k[p.ID] = p
		b = rest
	}
	return nil
}

func unexpected(typ byte) error { return fmt.Errorf("%w: frame %d in this answer", ErrProtocol, typ) }

// remoteError is what the server said, with the error that its code stands for.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

func parseError(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: empty error", ErrProtocol)
	}
	e := &remoteError{text: string(b[1:])}
	switch b[0] {
	case codePermission:
		e.is = ErrPermission
	case codeVersion:
		e.is = ErrProtocol
	case codeUnsupported:
		e.is = ErrUnsupported
	}
	return e
}
