package notify

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Alert is what is to be told. It is shared by the queues, and not to be changed.
type Alert struct {
	Time     time.Time
	Severity activity.Severity
	Rule     string  // the id of the rule
	Text     string  // one line for people, nothing in it that could act on a terminal
	Fields   []Field // the facts by themselves, for syslog and journald
	JSON     []byte  // the event with its findings, one line with its line end
}

// Field is a fact by its name, in small letters and "_".
type Field struct{ Name, Value string }

// Sink sends one alert at a time.
type Sink interface {
	// Send returns when the alert is sent, or cannot be; ctx bounds it.
	Send(ctx context.Context, a *Alert) error
	Close() error
}

// The defaults of a Queue.
const (
	queueSize = 256
	lastWords = 3 * time.Second // to send what waits when the recorder stops
)

// Queue carries alerts to a sink on a goroutine of its own.
type Queue struct {
	sink Sink
	in   chan *Alert
	rate rate
	fail func(error)

	dropped atomic.Uint64
	failed  atomic.Uint64
	sent    atomic.Uint64
}

// NewQueue returns a queue before sink that sends at most perMinute alerts a
// minute; 0 is no limit. fail is told the result of each sending, nil for a
// success, on Run's goroutine.
func NewQueue(sink Sink, perMinute int, fail func(error)) *Queue {
	return &Queue{sink: sink, in: make(chan *Alert, queueSize), rate: rate{perMinute: perMinute, now: time.Now}, fail: fail}
}

// Put takes a into the queue, or counts it as dropped. It never waits.
func (q *Queue) Put(a *Alert) {
	select {
	case q.in <- a:
	default:
		q.dropped.Add(1)
	}
}

// Counts tells how many alerts were sent, how many were dropped because there
// were too many of them, and how many the sink could not take.
func (q *Queue) Counts() (sent, dropped, failed uint64) {
	return q.sent.Load(), q.dropped.Load(), q.failed.Load()
}

// Run sends until ctx is done, then for a moment what still waits, and closes
// the sink. It is called once.
func (q *Queue) Run(ctx context.Context) {
	defer q.sink.Close()
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, stop) })()
	for {
		select {
		case a := <-q.in:
			q.send(sending, a)
			continue
		default:
		}
		select {
		case a := <-q.in:
			q.send(sending, a)
		case <-ctx.Done():
			if len(q.in) == 0 {
				return
			}
		}
	}
}

func (q *Queue) send(ctx context.Context, a *Alert) {
	if ctx.Err() != nil || !q.rate.take() {
		q.dropped.Add(1)
		return
	}
	err := q.sink.Send(ctx, a)
	if err != nil {
		q.failed.Add(1)
	} else {
		q.sent.Add(1)
	}
	q.fail(err)
}

// rate lets through so many a minute: a bucket that fills evenly.
type rate struct {
	perMinute int
	now       func() time.Time
	tokens    float64
	last      time.Time
}

func (r *rate) take() bool {
	if r.perMinute <= 0 {
		return true
	}
	now := r.now()
	if r.last.IsZero() {
		r.tokens = float64(r.perMinute)
	}
	r.tokens = min(r.tokens+now.Sub(r.last).Minutes()*float64(r.perMinute), float64(r.perMinute))
	r.last = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}
