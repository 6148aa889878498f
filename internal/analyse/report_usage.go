package analyse

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// programUse is the report on processes.
type programUse struct {
	opt  *ReportOptions
	all  tally
	rows *ledger[programKey, programRow, *programRow]
}

type programRow struct {
	tally
	instances uint64
	users     few[string]
}

func newProgramUse(opt *ReportOptions) *programUse {
	return &programUse{opt: opt, rows: newLedger[programKey, programRow](opt, 1<<16)}
}

func (u *programUse) count(c *Count, img *image, fresh bool) {
	u.all.count(c)
	row, _ := u.rows.row(img.key())
	row.tally.count(c)
	if fresh {
		row.instances++
	}
	if img.known() {
		row.users.add(img.user)
	}
}

func (u *programUse) tables() []*Table {
	t := &Table{Report: "processes", Title: "Processes", Events: u.all.events,
		About: "A row is a program (name, executable, container); INSTANCES is how many processes of it did anything. SHARE is its part of all events. " +
			"Events without a process, such as knocks, are a row of their own.",
		Columns: slices.Concat([]Column{{"process", "PROCESS", Text, 0}}, shared(),
			[]Column{{"instances", "INSTANCES", Number, 4}, {"exe", "EXECUTABLE", Path, 2}, {"container", "CONTAINER", Text, 3}, {"users", "USERS", Texts, 3}}, doings())}
	cells := func(k programKey, r *programRow) []Cell {
		return slices.Concat([]Cell{programCell(k)}, r.shared(u.all.events),
			[]Cell{number(r.instances), orUnknown(k.exe), text(k.container), r.users.cell(same)}, r.doing())
	}
	return []*Table{u.rows.into(t, u.rows.sorted(programKey.compare), u.opt.Top, cells)}
}

// userUse is the report on users.
type userUse struct {
	opt  *ReportOptions
	all  tally
	rows *ledger[string, userRow, *userRow]
}

type userRow struct {
	tally
	instances uint64
	programs  few[*programKey]
}

func newUserUse(opt *ReportOptions) *userUse {
	return &userUse{opt: opt, rows: newLedger[string, userRow](opt, 1<<16)}
}

func (u *userUse) count(c *Count, img *image, fresh bool) {
	u.all.count(c)
	row, _ := u.rows.row(img.user)
	row.tally.count(c)
	if fresh {
		row.instances++
	}
	if img.known() {
		row.programs.add(img.program)
	}
}

func (u *userUse) tables() []*Table {
	t := &Table{Report: "users", Title: "Users", Events: u.all.events,
		About: "A row is a user (the real one, not the effective); PROCESSES is how many processes of it did anything. SHARE is its part of all events. " +
			"Events without a process, such as knocks, are a row of their own.",
		Columns: slices.Concat([]Column{{"user", "USER", Text, 0}}, shared(),
			[]Column{{"instances", "PROCESSES", Number, 2}, {"programs", "PROGRAMS", Texts, 3}}, doings())}
	cells := func(k string, r *userRow) []Cell {
		return slices.Concat([]Cell{orUnknown(k)}, r.shared(u.all.events), []Cell{number(r.instances), r.programs.cell(labelOf)}, r.doing())
	}
	return []*Table{u.rows.into(t, u.rows.sorted(cmp.Compare[string]), u.opt.Top, cells)}
}

// hourUse is the report on hours: a tally for each hour of each day of the week.
type hourUse struct {
	opt  *ReportOptions
	all  tally
	week [7][24]tally
}

func (u *hourUse) count(c *Count, _ *image, _ bool) {
	u.all.count(c)
	at := timeOf(c.First).In(u.opt.Location)
	u.week[at.Weekday()][at.Hour()].count(c)
}

func (u *hourUse) tables() []*Table {
	var days [7]tally
	var hours [24]tally
	for d := range u.week {
		for h := range u.week[d] {
			days[d].merge(&u.week[d][h])
			hours[h].merge(&u.week[d][h])
		}
	}
	measures := slices.DeleteFunc(slices.Concat(shared(), doings()), func(c Column) bool { return c.Type == Moment })
	doing := func(t *tally) []Cell { return slices.Concat(t.shared(u.all.events), t.doing()[:len(measures)-2]) }
	zone := timeOf(u.opt.From).In(u.opt.Location).Format("MST (UTC-07:00)")
	byHour := &Table{Report: "hours", Part: "hour", Derived: true, Title: "Hours of the day", Events: u.all.events,
		About:   "Events by hour of the day, in the time zone " + zone + ".",
		Columns: slices.Concat([]Column{{"hour", "HOUR", Text, 0}}, measures)}
	show(byHour, upTo(24), 0, func(h int) []Cell { return slices.Concat([]Cell{text(clock(h))}, doing(&hours[h])) }, nil)
	byDay := &Table{Report: "hours", Part: "weekday", Derived: true, Title: "Days of the week", Events: u.all.events,
		About:   "Events by day of the week, in the time zone " + zone + ".",
		Columns: slices.Concat([]Column{{"weekday", "DAY", Text, 0}}, measures)}
	grid := &Table{Report: "hours", Part: "week", Title: "The week", Events: u.all.events,
		About:   "Events by day and hour, in the time zone " + zone + ".",
		Columns: slices.Concat([]Column{{"weekday", "DAY", Text, 0}, {"hour", "HOUR", Text, 0}}, measures)}
	day := func(i int) int { return (i + 1) % 7 } // from Monday
	show(byDay, upTo(7), 0, func(i int) []Cell { return slices.Concat([]Cell{text(weekday(day(i)))}, doing(&days[day(i)])) }, nil)
	show(grid, upTo(7*24), 0, func(i int) []Cell {
		d, h := day(i/24), i%24
		return slices.Concat([]Cell{text(weekday(d)), text(clock(h))}, doing(&u.week[d][h]))
	}, nil)
	return []*Table{byHour, byDay, grid}
}

// upTo lists the numbers from 0 to n-1.
func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// weekday is the day's name in JSON and CSV: "monday".
func weekday(d int) string { return strings.ToLower(time.Weekday(d).String()) }

// clock is the beginning of an hour: "09:00".
func clock(h int) string { return fmt.Sprintf("%02d:00", h) }

func timeOf(ns int64) time.Time { return time.Unix(0, ns) }

// merge adds another tally.
func (t *tally) merge(u *tally) {
	if u.events == 0 {
		return
	}
	if t.events == 0 {
		t.first, t.last = u.first, u.last
	}
	t.events, t.opened, t.accepted, t.connected = t.events+u.events, t.opened+u.opened, t.accepted+u.accepted, t.connected+u.connected
	t.flows, t.failed, t.knocks, t.rx, t.tx = t.flows+u.flows, t.failed+u.failed, t.knocks+u.knocks, t.rx+u.rx, t.tx+u.tx
	t.first, t.last = min(t.first, u.first), max(t.last, u.last)
}
