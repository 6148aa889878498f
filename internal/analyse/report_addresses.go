package analyse

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// remoteAddr is the other end of an event, without its zone; false where there is none.
func remoteAddr(e *activity.Event) (netip.Addr, bool) {
	a := e.Remote.Addr()
	return a.WithZone(""), a.IsValid() && !a.IsUnspecified()
}

// addressUse is the report on remote addresses.
type addressUse struct {
	opt  *ReportOptions
	who  *resolver
	all  uint64
	rows *ledger[packedAddr, addressRow, *addressRow]
}

// packedAddr is an address as a key of many: IPv4 as mapped to IPv6. Half the
// size of a netip.Addr, and nothing for the collector to follow.
type packedAddr [16]byte

func (a packedAddr) compare(b packedAddr) int { return bytes.Compare(a[:], b[:]) }

func (a packedAddr) String() string { return netip.AddrFrom16(a).Unmap().String() }

type addressRow struct {
	tally
	programs few[uint32] // by number
	ports    few[protoPort]
}

func newAddressUse(opt *ReportOptions, who *resolver) *addressUse {
	return &addressUse{opt: opt, who: who, rows: newLedger[packedAddr, addressRow](opt, 1<<19)}
}

func (u *addressUse) kinds() filter.KindSet { return 0 }

func (u *addressUse) detail(e *activity.Event, img *image) {
	a, ok := remoteAddr(e)
	if !ok {
		return
	}
	u.all++
	row, _ := u.rows.row(a.As16())
	row.event(e)
	if img.known() {
		row.programs.add(img.number)
	}
	row.ports.add(protoPort{e.Proto, e.Service()})
}

func (u *addressUse) tables() []*Table {
	t := &Table{Report: "addresses", Title: "Remote addresses", Events: u.all,
		About: "A row is a remote address; PORTS are the service ports, of either end. SHARE is its part of the events that have a remote address.",
		Columns: slices.Concat([]Column{{"address", "ADDRESS", Text, 0}, {"host", "HOST", Text, 1}}, shared(),
			[]Column{{"programs", "PROGRAMS", Texts, 1}, {"ports", "PORTS", Texts, 2}, {"knocks", "KNOCKS", Number, 4}}, doings())}
	t.Columns = slices.DeleteFunc(t.Columns, func(c Column) bool { return c.Name == "opened" })
	cells := func(a packedAddr, r *addressRow) []Cell {
		return slices.Concat([]Cell{text(a.String()), unknown()}, r.shared(u.all),
			[]Cell{r.programs.cell(u.who.numbered), r.ports.cell(protoPort.label), number(r.knocks)}, r.doing()[1:])
	}
	return []*Table{u.rows.into(t, u.rows.sorted(packedAddr.compare), u.opt.Top, cells)}
}

// What counts as a scan: knocks at so many different ports, by one source,
// within a window. A window begins with a source's first knock, and the next
// with its first knock after the end of the one before.
const (
	scanPorts  = 10
	scanWindow = time.Hour
	// Ports of a source's window that are told apart; beyond, it is a scan anyway.
	maxWindowPorts = 256
)

// scans is the report on knocks.
type scans struct {
	opt  *ReportOptions
	all  uint64
	rows *ledger[netip.Addr, scanRow, *scanRow]
}

type scanRow struct {
	tally
	ports  few[protoPort] // the first of all
	window []protoPort    // of the window, sorted
	since  int64          // its beginning
	most   int            // of any window
}

func newScans(opt *ReportOptions) *scans {
	return &scans{opt: opt, rows: newLedger[netip.Addr, scanRow](opt, 1<<17)}
}

func (s *scans) kinds() filter.KindSet { return 1 << activity.KindKnock }

func (s *scans) detail(e *activity.Event, _ *image) {
	if e.Kind != activity.KindKnock {
		return
	}
	a, ok := remoteAddr(e)
	if !ok {
		return
	}
	s.all++
	row, _ := s.rows.row(a)
	row.event(e)
	p := protoPort{e.Proto, e.Local.Port()}
	row.ports.add(p)
	row.knock(p, e.Time)
}

func (r *scanRow) knock(p protoPort, at int64) {
	if len(r.window) == 0 || at-r.since >= int64(scanWindow) || at < r.since {
		r.window, r.since = r.window[:0], at
	}
	if i, found := slices.BinarySearchFunc(r.window, p, protoPort.compare); !found && len(r.window) < maxWindowPorts {
		r.window = slices.Insert(r.window, i, p)
	}
	r.most = max(r.most, len(r.window))
}

// verdict says in a word what a source did.
func (r *scanRow) verdict() string {
	switch {
	case r.most >= scanPorts:
		return "scan"
	case r.events >= scanPorts:
		return "repeated"
	}
	return "knock"
}

func (s *scans) tables() []*Table {
	t := &Table{Report: "scans", Title: "Knocks and scans", Events: s.all,
		About: "A row is a source of attempts that met a closed port. It is a scan when it tried " + decimal(scanPorts) +
			" or more different ports within an hour of its first try, or of the first after such an hour; \"repeated\" is " + decimal(scanPorts) + " tries or more at fewer ports.",
		Columns: []Column{{"address", "SOURCE", Text, 0}, {"host", "HOST", Text, 1}, {"verdict", "VERDICT", Text, 0}, {"share", "SHARE", Share, 2}, {"knocks", "KNOCKS", Number, 0},
			{"window_ports", "PORTS", Number, 2}, {"ports", "WHICH", Texts, 1}, {"first", "FIRST", Moment, 5}, {"last", "LAST", Moment, 3}}}
	keys := s.rows.sorted(netip.Addr.Compare)
	slices.SortStableFunc(keys, func(a, b netip.Addr) int { return cmp.Compare(s.rows.get(b).rank(), s.rows.get(a).rank()) })
	cells := func(a netip.Addr, r *scanRow) []Cell {
		return []Cell{text(a.String()), unknown(), text(r.verdict()), share(r.events, s.all), number(r.events), number(r.most), r.ports.cell(protoPort.label),
			number(r.first), number(r.last)}
	}
	return []*Table{s.rows.into(t, keys, s.opt.Top, cells)}
}

// rank puts scans first.
func (r *scanRow) rank() int {
	if r.most >= scanPorts {
		return 1
	}
	return 0
}

// webUse is the report on who used the web.
type webUse struct {
	opt  *ReportOptions
	all  uint64
	rows *ledger[webKey, webRow, *webRow]
}

type webKey struct {
	user    string
	program programKey
	addr    netip.Addr
}

func (k webKey) compare(l webKey) int {
	return cmp.Or(cmp.Compare(k.user, l.user), k.program.compare(l.program), k.addr.Compare(l.addr))
}

type webRow struct {
	tally
	ports few[protoPort]
}

func newWebUse(opt *ReportOptions) *webUse {
	return &webUse{opt: opt, rows: newLedger[webKey, webRow](opt, 1<<17)}
}

// webPorts are those of sites and of web proxies: HTTP, HTTPS (and QUIC), and
// the customary ones of proxies.
func isWebPort(p uint16) bool { return p == 80 || p == 443 || p == 8080 || p == 3128 }

func (u *webUse) kinds() filter.KindSet {
	return 1<<activity.KindConnect | 1<<activity.KindConnectFailed | 1<<activity.KindClose | 1<<activity.KindFlow | 1<<activity.KindFlowEnd | 1<<activity.KindSnapshot
}

func (u *webUse) detail(e *activity.Event, img *image) {
	a, ok := remoteAddr(e)
	if !ok || !isWebPort(e.Remote.Port()) || inbound(e) {
		return
	}
	u.all++
	row, _ := u.rows.row(webKey{img.user, img.key(), a})
	row.event(e)
	row.ports.add(protoPort{e.Proto, e.Remote.Port()})
}

func (u *webUse) tables() []*Table {
	t := &Table{Report: "web", Title: "Web use by user", Events: u.all,
		About: "A row is a user, a program and a host that it reached, or tried to, on the ports 80, 443, 8080 or 3128: sites, and proxies (then the sites behind are not seen).",
		Columns: slices.Concat([]Column{{"user", "USER", Text, 0}, {"process", "CLIENT", Text, 0}, {"exe", "", Text, 0}, {"client", "KIND", Text, 3},
			{"address", "REMOTE", Text, 0}, {"host", "HOST", Text, 1}, {"ports", "PORTS", Texts, 2}}, shared(), doings())}
	t.Columns = slices.DeleteFunc(t.Columns, func(c Column) bool { return c.Name == "opened" || c.Name == "accepted" })
	cells := func(k webKey, r *webRow) []Cell {
		return slices.Concat([]Cell{orUnknown(k.user), programCell(k.program), orUnknown(k.program.exe), text(clientKind(k.program)), text(k.addr.String()), unknown(),
			r.ports.cell(protoPort.label)}, r.shared(u.all), r.doing()[2:])
	}
	return []*Table{u.rows.into(t, u.rows.sorted(webKey.compare), u.opt.Top, cells)}
}

// clientKind tells browsers from other clients, by the names of their programs.
func clientKind(k programKey) string {
	switch name := trimExe(k.label()); name {
	case "firefox", "firefox-esr", "librewolf", "chrome", "google-chrome", "chromium", "chromium-browser", "chromium-browse", "msedge", "iexplore",
		"opera", "brave", "brave-browser", "vivaldi", "vivaldi-bin", "safari", "epiphany", "konqueror", "falkon", "lynx", "w3m", "links":
		return "browser"
	}
	return "other"
}
