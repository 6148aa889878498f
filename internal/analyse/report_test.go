package analyse

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

// busyHistory is a random history: a busy server's, and on top of it what that never
// has: conflicts with their holders, events without a process, web clients,
// services, remote addresses by the thousand, coverage events.
func busyHistory(seed uint64, n int) []*activity.Event {
	h, rnd := testutil.NewHistory(seed), rand.New(rand.NewPCG(seed, 1))
	var all []*activity.Event
	for len(all) < n {
		e := h.Next()
		e.Seq = uint64(len(all) + 1)
		switch rnd.IntN(20) {
		case 0:
			e.Process, e.Owner, e.Unknown = nil, activity.ProcessKey{}, activity.FactOwner
		case 1:
			e.Kind, e.Reason, e.Remote = activity.KindBindFailed, activity.ReasonAddressInUse, netip.AddrPort{}
			if e.Process != nil && rnd.IntN(3) > 0 {
				e.Holder = e.Process
			}
		case 2:
			if e.Remote.IsValid() {
				a := netip.AddrFrom4([4]byte{198, 51, byte(rnd.IntN(4)), byte(rnd.IntN(256))})
				e.Remote = netip.AddrPortFrom(a, []uint16{80, 443, 8080, 3128, 25}[rnd.IntN(5)])
			}
		case 3:
			e.Kind, e.Coverage = activity.KindGap, &activity.Coverage{}
		case 4:
			e.Time += int64(rnd.IntN(40)) * int64(time.Hour) // the clock is no one's friend
		}
		all = append(all, &e)
	}
	return all
}

// span of a history, for the options.
func around(events []*activity.Event) (from, to int64) {
	from, to = events[0].Time, events[0].Time
	for _, e := range events {
		from, to = min(from, e.Time), max(to, e.Time+1)
	}
	return from, to
}

// reportsOf reports a history, told one event at a time.
func reportsOf(t *testing.T, events []*activity.Event, opt ReportOptions) map[string]*Table {
	t.Helper()
	opt.From, opt.To = around(events)
	opt.Covered = []Span{{opt.From, opt.To}}
	r, err := NewReports(opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		r.Hold(e, true)
	}
	r.Held()
	for _, e := range events {
		r.Event(e)
	}
	return byName(t, r.Tables())
}

// byName gives the tables by name and part, and checks that each is one.
func byName(t *testing.T, tables []*Table) map[string]*Table {
	t.Helper()
	out := make(map[string]*Table)
	for _, table := range tables {
		n := 0
		for row := range table.Rows {
			n++
			if len(row) != len(table.Columns) {
				t.Fatalf("%s: a row has %d cells for %d columns", table.Report, len(row), len(table.Columns))
			}
		}
		if n != table.Len {
			t.Fatalf("%s: %d rows, %d are told", table.Report, n, table.Len)
		}
		name := table.Report
		if table.Part != "" {
			name += " " + table.Part
		}
		out[name] = table
	}
	return out
}

// sum adds a column up.
func sum(table *Table, name string) (n uint64) {
	at := table.column(name)
	for row := range table.Rows {
		n += uint64(row[at].N)
	}
	return n
}

// counted is what a naive count finds under a key.
type counted map[string]map[string]uint64

func (c counted) add(key string, e *activity.Event) {
	if c[key] == nil {
		c[key] = map[string]uint64{}
	}
	m := c[key]
	m["events"]++
	m["rx"] += e.Rx
	m["tx"] += e.Tx
	for _, k := range []struct {
		name  string
		kinds []activity.Kind
	}{
		{"opened", []activity.Kind{activity.KindListen, activity.KindBind}},
		{"accepted", []activity.Kind{activity.KindAccept}},
		{"connected", []activity.Kind{activity.KindConnect}},
		{"flows", []activity.Kind{activity.KindFlow}},
		{"failed", []activity.Kind{activity.KindConnectFailed, activity.KindBindFailed}},
	} {
		for _, kind := range k.kinds {
			if e.Kind == kind {
				m[k.name]++
			}
		}
	}
}

// compare holds a table to a naive count, row by row and column by column.
func (c counted) compare(t *testing.T, table *Table, key func([]Cell) string) {
	t.Helper()
	if table.Len != len(c) {
		t.Errorf("%s: %d rows, want %d", table.Report, table.Len, len(c))
	}
	for row := range table.Rows {
		want := c[key(row)]
		if want == nil {
			t.Fatalf("%s: a row %q that nothing counts for", table.Report, key(row))
		}
		for _, name := range []string{"events", "opened", "accepted", "connected", "flows", "failed", "rx", "tx"} {
			if i := table.column(name); i >= 0 && uint64(row[i].N) != want[name] {
				t.Errorf("%s %q: %s is %d, want %d", table.Report, key(row), name, row[i].N, want[name])
			}
		}
	}
}

// TestReportsAgainstNaiveCounting: over random histories, each row says what
// counting by hand says.
func TestReportsAgainstNaiveCounting(t *testing.T) {
	for seed := range uint64(8) {
		events := busyHistory(seed, 4000)
		got := reportsOf(t, events, ReportOptions{})
		processes, users, addresses, hours, failed, web, conflicts, scans := counted{}, counted{}, counted{}, counted{}, counted{}, counted{}, counted{}, counted{}
		services := counted{}
		for _, e := range events {
			if e.Kind.Coverage() {
				continue
			}
			name, exe, user := "", "", ""
			if p := e.Process; p != nil {
				name, exe, user = p.Name, p.Exe, p.User
				if p.Unit.Name != "" {
					services.add(p.Unit.Name+" "+exe, e)
				}
			}
			processes.add(name+" "+exe, e)
			users.add(user, e)
			at := e.When()
			hours.add(fmt.Sprintf("%s %02d:00", weekday(int(at.Weekday())), at.Hour()), e)
			if e.Remote.IsValid() {
				addresses.add(e.Remote.Addr().String(), e)
				if p := e.Remote.Port(); (p == 80 || p == 443 || p == 8080 || p == 3128) && e.Flags&activity.FlagInbound == 0 && e.Kind != activity.KindKnock {
					web.add(user+" "+exe+" "+e.Remote.Addr().String(), e)
				}
			}
			port := e.Remote.Port()
			if e.Kind == activity.KindBindFailed {
				port = e.Local.Port()
				held := ""
				if e.Holder != nil {
					held = e.Holder.Exe
				}
				conflicts.add(e.Proto.String()+" "+e.Local.String()+" "+exe+" "+held, e)
			}
			if e.Kind == activity.KindBindFailed || e.Kind == activity.KindConnectFailed {
				failed.add(fmt.Sprintf("%s %s %s %d %s", e.Kind, e.Reason, e.Proto, port, exe), e)
			}
			if e.Kind == activity.KindKnock {
				scans.add(e.Remote.Addr().String(), e)
			}
		}
		cell := func(table, column string) func([]Cell) *Cell {
			i := got[table].column(column)
			return func(row []Cell) *Cell { return &row[i] }
		}
		texts := func(table string, columns ...string) func([]Cell) string {
			return func(row []Cell) (s string) {
				for i, c := range columns {
					if i > 0 {
						s += " "
					}
					s += cell(table, c)(row).Text
				}
				return s
			}
		}
		processes.compare(t, got["processes"], texts("processes", "process", "exe"))
		users.compare(t, got["users"], texts("users", "user"))
		addresses.compare(t, got["addresses"], texts("addresses", "address"))
		web.compare(t, got["web"], texts("web", "user", "exe", "address"))
		conflicts.compare(t, got["conflicts"], texts("conflicts", "proto", "local", "wanted_exe", "held_exe"))
		services.compare(t, got["services"], func(row []Cell) string {
			return cell("services", "services")(row).List[0] + " " + cell("services", "exe")(row).Text
		})
		failed.compare(t, got["failures"], func(row []Cell) string {
			return fmt.Sprintf("%s %d %s", texts("failures", "kind", "reason", "proto")(row), cell("failures", "port")(row).N, texts("failures", "exe")(row))
		})
		for row := range got["hours week"].Rows {
			key := texts("hours week", "weekday", "hour")(row)
			if n := uint64(cell("hours week", "events")(row).N); n != hours[key]["events"] {
				t.Errorf("seed %d: %s has %d events, want %d", seed, key, n, hours[key]["events"])
			}
		}
		for row := range got["scans"].Rows {
			if a, n := texts("scans", "address")(row), uint64(cell("scans", "knocks")(row).N); n != scans[a]["events"] {
				t.Errorf("seed %d: %s knocked %d times, want %d", seed, a, n, scans[a]["events"])
			}
		}
	}
}

// TestReportsAddUp: the reports tell of the same events, so their sums agree,
// with whatever limits.
func TestReportsAddUp(t *testing.T) {
	for _, opt := range []ReportOptions{{}, {Top: 3}, {Limit: 16}, {Limit: 5, Top: 2}} {
		for seed := range uint64(4) {
			events := busyHistory(seed, 3000)
			var all, withRemote, failed, knocks, inUse, ended uint64
			open := map[socketKey]bool{}
			for _, e := range events {
				if e.Kind.Coverage() {
					continue
				}
				all++
				if e.Remote.IsValid() {
					withRemote++
				}
				switch e.Kind {
				case activity.KindBindFailed:
					inUse++
					failed++
				case activity.KindConnectFailed:
					failed++
				case activity.KindKnock:
					knocks++
				case activity.KindClose, activity.KindFlowEnd:
					ended++
					delete(open, keyOf(e))
				case activity.KindAccept, activity.KindConnect, activity.KindFlow:
					open[keyOf(e)] = true
				}
			}
			got := reportsOf(t, events, opt)
			want := map[string]uint64{"ports": all, "processes": all, "users": all, "services": all, "hours week": all, "hours hour": all, "hours weekday": all,
				"addresses": withRemote, "failures": failed, "conflicts": inUse, "scans": knocks, "connections duration": ended + uint64(len(open)), "connections bytes": ended, "modules": all}
			for name, n := range want {
				table := got[name]
				if table.Events != n {
					t.Errorf("%+v, seed %d: %s is about %d events, want %d", opt, seed, name, table.Events, n)
				}
				shown := uint64(table.Len) // connections are an event each
				if table.column("events") >= 0 {
					shown = sum(table, "events")
				} else if table.column("knocks") >= 0 {
					shown = sum(table, "knocks")
				}
				if name != "modules" && shown+table.Rest != n {
					t.Errorf("%+v, seed %d: %s shows %d events and %d more, want %d", opt, seed, name, shown, table.Rest, n)
				}
				if limit := max(opt.Top, got["hours week"].Len*btoi(table.Report == "hours")); opt.Top > 0 && table.Len > limit {
					t.Errorf("%+v, seed %d: %s has %d rows", opt, seed, name, table.Len)
				}
			}
			if opt.Top == 0 && opt.Limit == 0 {
				for _, column := range []string{"opened", "accepted", "connected", "flows", "failed", "rx", "tx"} {
					n := sum(got["processes"], column)
					for _, name := range []string{"ports", "users", "hours week", "hours hour", "hours weekday"} {
						if m := sum(got[name], column); m != n {
							t.Errorf("seed %d: %s sum up to %d %s, processes to %d", seed, name, m, column, n)
						}
					}
				}
				if n, m := sum(got["processes"], "instances"), sum(got["users"], "instances"); n != m {
					t.Errorf("seed %d: %d instances of programs, %d of users", seed, n, m)
				}
			}
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestReportBounds: when rows had to be dropped, a count is never too high and
// at most Slack too low.
func TestReportBounds(t *testing.T) {
	for seed := range uint64(5) {
		events := busyHistory(seed, 6000)
		exact, bounded := reportsOf(t, events, ReportOptions{}), reportsOf(t, events, ReportOptions{Limit: 64})
		for name, key := range map[string]string{"addresses": "address", "scans": "address"} {
			full, got := exact[name], bounded[name]
			if full.Slack != 0 || got.Slack == 0 || got.Len > 64 {
				t.Fatalf("%s: slack %d of %d rows, and %d of %d", name, full.Slack, full.Len, got.Slack, got.Len)
			}
			count := got.column("events")
			if count < 0 {
				count = got.column("knocks")
			}
			true_ := map[string]int64{}
			for row := range full.Rows {
				true_[row[full.column(key)].Text] = row[count].N
			}
			for row := range got.Rows {
				n, want := row[count].N, true_[row[got.column(key)].Text]
				if n > want || n+int64(got.Slack) < want {
					t.Errorf("%s: %d, want %d or up to %d fewer", name, n, want, got.Slack)
				}
			}
		}
	}
}

// TestReportsFromCounts: what is summed up by the hour beforehand gives the same.
func TestReportsFromCounts(t *testing.T) {
	names := []string{"processes", "users", "hours", "services", "failures", "conflicts", "scans", "connections", "modules"}
	for seed := range uint64(5) {
		events := busyHistory(seed, 3000)
		want := reportsOf(t, events, ReportOptions{Names: names})
		opt := ReportOptions{Names: names}
		opt.From, opt.To = around(events)
		opt.Covered = []Span{{opt.From, opt.To}}
		r, err := NewReports(opt)
		if err != nil {
			t.Fatal(err)
		}
		kinds, ok := r.Kinds()
		if !ok {
			t.Fatal("these reports can do with counts")
		}
		for _, e := range events {
			r.Hold(e, true)
		}
		r.Held()
		type key struct {
			hour int64
			kind activity.Kind
			p    *activity.Process
		}
		counts := map[key]*Count{}
		var order []key // so that lists of a few are of the same ones
		for _, e := range events {
			k := key{e.Time / 3600e9, e.Kind, e.Process}
			c := counts[k]
			if c == nil {
				c = &Count{Kind: e.Kind, Process: e.Process, First: e.Time, Last: e.Time}
				counts[k] = c
				order = append(order, k)
			}
			c.Events, c.Rx, c.Tx, c.First, c.Last = c.Events+1, c.Rx+e.Rx, c.Tx+e.Tx, min(c.First, e.Time), max(c.Last, e.Time)
		}
		for _, k := range order {
			r.Count(counts[k])
		}
		for _, e := range events {
			if kinds.Has(e.Kind) {
				r.Detail(e)
			}
		}
		if d := cmp.Diff(want, byName(t, r.Tables()), cmp.Transformer("rows", func(rows iter.Seq[[]Cell]) [][]Cell { return slices.Collect(rows) })); d != "" {
			t.Fatalf("seed %d: -one by one +counted\n%s", seed, d)
		}
	}
	for _, name := range []string{"ports", "addresses"} {
		r, _ := NewReports(ReportOptions{Names: []string{"users", name}})
		if _, ok := r.Kinds(); ok {
			t.Errorf("%s needs every event", name)
		}
	}
}

func TestReportNames(t *testing.T) {
	if _, err := NewReports(ReportOptions{Names: []string{"prots"}}); err == nil {
		t.Error("an unknown report is no error")
	}
	r, err := NewReports(ReportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, table := range r.Tables() {
		if table.About == "" || table.Title == "" {
			t.Errorf("%s does not say what it is", table.Report)
		}
		if len(names) == 0 || names[len(names)-1] != table.Report {
			names = append(names, table.Report)
		}
	}
	var want []string
	for _, info := range ReportList()[1:] { // without rules there is no interest
		want = append(want, info.Name)
	}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("-listed +made\n%s", d)
	}
}

// TestReportOfInterest: what the rules find is told by rule and program, the
// most severe first.
func TestReportOfInterest(t *testing.T) {
	events := busyHistory(3, 3000)
	rules := func(e *activity.Event, found []activity.Finding) []activity.Finding {
		if e.Kind == activity.KindKnock {
			found = append(found, activity.Finding{Rule: "knock", Severity: activity.SeverityLow, Reason: "a closed port was tried"})
		}
		if e.Local.Port() == 22 && e.Kind == activity.KindAccept {
			found = append(found, activity.Finding{Rule: "ssh", Severity: activity.SeverityHigh, Reason: "somebody came in"})
		}
		return found
	}
	want := map[string]uint64{}
	for _, e := range events {
		for _, f := range rules(e, nil) {
			want[f.Rule]++
		}
	}
	table := reportsOf(t, events, ReportOptions{Names: []string{"interest"}, Findings: rules})["interest"]
	got := map[string]uint64{}
	for row := range table.Rows {
		got[row[table.column("rule")].Text] += uint64(row[table.column("events")].N)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if first := slices.Collect(table.Rows)[0][0].Text; first != "high" || table.Events != want["knock"]+want["ssh"] {
		t.Errorf("the first is %s, of %d", first, table.Events)
	}
}

// TestOpenConnections: the longest connections may be open still; a restart of
// the recorder ends what its snapshot does not find.
func TestOpenConnections(t *testing.T) {
	at := func(ns int64, k activity.Kind, socket uint64) *activity.Event {
		return &activity.Event{Time: ns, Seq: uint64(ns), Kind: k, Socket: socket, Proto: activity.TCP,
			Local: netip.MustParseAddrPort("192.0.2.1:40000"), Remote: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.2"), uint16(socket))}
	}
	ended := at(90, activity.KindClose, 3)
	ended.Duration, ended.Rx = 50, 7
	r, err := NewReports(ReportOptions{Names: []string{"connections"}, From: 0, To: 200, Runs: []int64{0, 100}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*activity.Event{at(10, activity.KindConnect, 1), at(20, activity.KindAccept, 2), at(40, activity.KindConnect, 3), ended,
		at(101, activity.KindSnapshot, 2), at(110, activity.KindConnect, 4), at(150, activity.KindSnapshot, 4)} {
		r.Event(e)
	}
	tables := byName(t, r.Tables())
	table := tables["connections duration"]
	type shown struct {
		remote            string
		lasted            int64
		open, bytes, from bool
	}
	var got []shown
	for row := range table.Rows {
		cell := func(name string) Cell { return row[table.column(name)] }
		got = append(got, shown{cell("remote").Text, cell("duration_ns").N, cell("open").N == 1, !cell("bytes").Unknown, !cell("start").Unknown})
	}
	want := []shown{{"192.0.2.2:2", 99, true, false, false}, {"192.0.2.2:4", 90, true, false, true}, {"192.0.2.2:3", 50, false, true, true}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(shown{})); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if n := tables["connections bytes"].Len; n != 1 {
		t.Errorf("%d of the heaviest: bytes of open ones are not known", n)
	}
}
