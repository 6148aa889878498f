package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/journal"
)

// question is asked of every engine. The SQL is over the view e, whose ns is the
// time in ns; it and ours give the same columns.
type question struct {
	name   string
	ours   func(ctx context.Context, r *journal.Reader, row func(...any)) error
	sql    string
	sqlite string // where its SQL is another
}

const (
	day    = "2026-11-18"
	noon   = "2026-11-19 12:00:00"
	busy   = "11.90.0.0"   // the most frequent remote address
	rare   = "11.89.13.65" // the first that is met once
	fields = "epoch, seq, ns, kind, proto, local_ip, local_port, remote_ip, remote_port, pid, rx, tx, duration_ns"
)

func nanoseconds(text string) int64 {
	t, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil {
		panic(err) // it is a constant
	}
	return t.UnixNano()
}

func questions() []question {
	from := nanoseconds(day + " 00:00:00")
	within := fmt.Sprintf(" AND ns >= %d AND ns < %d", from, from+24*int64(time.Hour))
	// DuckDB skips row groups by service_port, the smaller port, if it is told.
	onPort := func(port int) string {
		return fmt.Sprintf("SELECT %s FROM e WHERE service_port BETWEEN 1 AND %d AND (local_port = %d OR remote_port = %d)", fields, port, port, port)
	}
	// SQLite has an index for each.
	eitherPort := func(port int, and string) string {
		return fmt.Sprintf("SELECT %s FROM e WHERE local_port = %d%s UNION SELECT %s FROM e WHERE remote_port = %d%s", fields, port, and, fields, port, and)
	}
	ofAddr := func(a string) string {
		return fmt.Sprintf("SELECT %s FROM e WHERE remote_ip = '%s' OR local_ip = '%s'", fields, a, a)
	}
	return []question{
		{"port 22, one day", portEvents(22, from), onPort(22) + duckTime(day), eitherPort(22, within)},
		{"port 3389, one day", portEvents(3389, from), onPort(3389) + duckTime(day), eitherPort(3389, within)},
		{"who 3389", portEvents(3389, 0), onPort(3389), eitherPort(3389, "")},
		{"top 20 process, address", topPeers, fmt.Sprintf(topSQL, ""), fmt.Sprintf(topSQL, "process < 0, ")}, // SQLite's numbers are signed
		{"busy address", addrEvents(busy), ofAddr(busy), ""},
		{"rare address", addrEvents(rare), ofAddr(rare), ""},
		{"by hour and protocol", byHour, "SELECT ns // 3600000000000 * 3600000000000, proto, count(*) FROM e WHERE kind NOT IN ('recorder-start', 'recorder-stop', 'gap') GROUP BY ALL",
			"SELECT ns / 3600000000000 * 3600000000000, proto, count(*) FROM e WHERE kind NOT IN ('recorder-start', 'recorder-stop', 'gap') GROUP BY 1, 2"},
		{"open at noon", openAt(nanoseconds(noon)), fmt.Sprintf(openSQL, "time <= '"+noon+"'", "time <= '"+noon+"'"),
			fmt.Sprintf(openSQL, fmt.Sprint("time <= ", nanoseconds(noon)), fmt.Sprint("time <= ", nanoseconds(noon)))},
	}
}

// duckTime names a day so that DuckDB compares it with the column's own type,
// whose bounds it knows.
func duckTime(day string) string {
	return fmt.Sprintf(" AND time >= TIMESTAMPTZ '%s 00:00:00+00' AND time < TIMESTAMPTZ '%s 00:00:00+00' + INTERVAL 1 DAY", day, day)
}

const (
	topSQL = "SELECT process, remote_ip, count(*) AS n, coalesce(sum(rx), 0), coalesce(sum(tx), 0) FROM e WHERE remote_ip IS NOT NULL GROUP BY process, remote_ip ORDER BY n DESC, %sprocess, remote_ip LIMIT 20"

	// openSQL is what had opened and not ended in the run of the recorder that
	// was on at a time.
	openSQL = `WITH run AS (SELECT max(epoch) AS epoch FROM e WHERE kind = 'recorder-start' AND %s),
		x AS (SELECT e.epoch, seq, socket, kind FROM e, run WHERE e.epoch = run.epoch AND %s),
		ended AS (SELECT socket, max(seq) AS seq FROM x WHERE kind IN ('unlisten', 'unbind', 'close') GROUP BY socket)
		SELECT x.epoch, x.seq, x.socket, x.kind FROM x LEFT JOIN ended ON ended.socket = x.socket
		WHERE x.kind IN ('listen', 'bind', 'connect', 'accept', 'snapshot') AND (ended.seq IS NULL OR x.seq > ended.seq)`
)

// rowOf is an event as fields has it, its time without the nanoseconds, which
// DuckDB's TIMESTAMPTZ does not have. Its epoch is not the event's to know: ends
// of a run are where numbers begin anew.
func rowOf(epoch uint64, e *activity.Event) []any {
	counted := func(v any, f activity.Facts) any {
		if fmt.Sprint(v) != "0" || e.Kind.Ends() && e.Unknown&f == 0 {
			return v
		}
		return ""
	}
	return []any{epoch, e.Seq, e.Time / 1000 * 1000, e.Kind, e.Proto, addr(e.Local), port(e.Local), addr(e.Remote), port(e.Remote), some(e.Owner.PID),
		counted(e.Rx, activity.FactBytes), counted(e.Tx, activity.FactBytes), counted(e.Duration, activity.FactDuration)}
}

func some(v uint32) any {
	if v == 0 {
		return ""
	}
	return v
}

func addr(a netip.AddrPort) any {
	if !a.Addr().IsValid() {
		return ""
	}
	return a.Addr()
}

func port(a netip.AddrPort) any {
	if !a.Addr().IsValid() {
		return ""
	}
	return a.Port()
}

// events asks for events, and numbers the runs of the recorder as it numbers
// itself: those of bench/history begin with a recorder-start, at these times.
func events(ctx context.Context, r *journal.Reader, q journal.Query, row func(...any)) error {
	starts, err := runs(ctx, r, row)
	if err != nil {
		return err
	}
	for e, err := range r.Events(ctx, q) {
		if err != nil {
			return err
		}
		if row != nil {
			row(rowOf(epochOf(starts, e), e)...)
		}
	}
	return nil
}

// runs returns when the runs began. It is needed only where rows are compared.
func runs(ctx context.Context, r *journal.Reader, row func(...any)) (starts []int64, err error) {
	if row == nil {
		return nil, nil
	}
	for e, err := range r.Events(ctx, journal.Query{Hints: filter.Hints{Kinds: 1 << activity.KindRecorderStart}}) {
		if err != nil {
			return nil, err
		}
		starts = append(starts, e.Time)
	}
	return starts, nil
}

func epochOf(starts []int64, e *activity.Event) (n uint64) {
	for _, t := range starts {
		if e.Time >= t {
			n++
		}
	}
	return n
}

func portEvents(p uint16, from int64) func(context.Context, *journal.Reader, func(...any)) error {
	q := journal.Query{Hints: filter.Hints{Ports: []filter.PortRange{{Lo: p, Hi: p}}}}
	if from != 0 {
		q.From, q.To = from, from+24*int64(time.Hour)
	}
	return func(ctx context.Context, r *journal.Reader, row func(...any)) error { return events(ctx, r, q, row) }
}

func addrEvents(a string) func(context.Context, *journal.Reader, func(...any)) error {
	ip := netip.MustParseAddr(a)
	q := journal.Query{Hints: filter.Hints{Addrs: []netip.Prefix{netip.PrefixFrom(ip, ip.BitLen())}}}
	return func(ctx context.Context, r *journal.Reader, row func(...any)) error { return events(ctx, r, q, row) }
}

func topPeers(ctx context.Context, r *journal.Reader, row func(...any)) error {
	peers, err := r.TopPeers(ctx, journal.Query{}, 20)
	if row != nil {
		for _, p := range peers {
			id := any(p.Process)
			if p.Process == 0 {
				id = ""
			}
			row(id, p.Remote, p.Events, p.Rx, p.Tx)
		}
	}
	return err
}

func byHour(ctx context.Context, r *journal.Reader, row func(...any)) error {
	type key struct {
		hour  int64
		proto string
	}
	n := make(map[key]uint64)
	rows, err := r.Hours(ctx, 0, 0)
	for _, c := range rows {
		if k, err := activity.ParseKind(c.Kind); err != nil || !k.Coverage() {
			n[key{c.Hour, c.Proto}] += c.Events
		}
	}
	if row != nil {
		for k, n := range n {
			row(k.hour, k.proto, n)
		}
	}
	return err
}

// openAt is of the run of the recorder that the moment is in: before, it asks
// when that began, as the commands do.
func openAt(at int64) func(context.Context, *journal.Reader, func(...any)) error {
	return func(ctx context.Context, r *journal.Reader, row func(...any)) error {
		starts, err := runs(ctx, r, func(...any) {})
		if err != nil {
			return err
		}
		q := journal.Query{Hints: filter.Hints{From: starts[0], To: at + 1}}
		for _, t := range starts {
			if t <= at {
				q.From = t
			}
		}
		for e, err := range r.Open(ctx, q, at) {
			if err != nil {
				return err
			}
			if row != nil && !e.Kind.Coverage() {
				row(epochOf(starts, e), e.Seq, e.Socket, e.Kind)
			}
		}
		return nil
	}
}

// answerHere answers a question, times it, and then answers again for the sum.
func answerHere(ctx context.Context, dir, name string) error {
	for _, q := range questions() {
		if q.name != name {
			continue
		}
		began, used := time.Now(), processorTime()
		r, err := journal.OpenReader(dir)
		if err != nil {
			return err
		}
		if err := q.ours(ctx, r, nil); err != nil {
			return err
		}
		a := answer{Nanoseconds: time.Since(began).Nanoseconds(), Processor: (processorTime() - used).Nanoseconds(), PeakKiB: peak()}
		var total uint64
		if err := q.ours(ctx, r, func(vs ...any) { a.Rows++; total += hash(vs) }); err != nil {
			return err
		}
		a.Sum = fmt.Sprintf("%016x", total)
		return json.NewEncoder(os.Stdout).Encode(a)
	}
	return fmt.Errorf("no question %q", name)
}

// hash is that of bench/ask/engines.
func hash(vs []any) uint64 {
	h := fnv.New64a()
	for _, v := range vs {
		fmt.Fprintf(h, "%v|", v)
	}
	return h.Sum64()
}

// peak is the process's VmHWM, in KiB; 0 where there is no /proc.
func peak() (n int) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &n); err == nil {
			return n
		}
	}
	return 0
}
