package foreign

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// sysmonXML is what is taken of an event as Windows renders it (the schema of
// learn.microsoft.com/windows/win32/wes/eventschema-elements).
type sysmonXML struct {
	provider string // Event/System/Provider, attribute Name
	id       string // Event/System/EventID
	created  string // Event/System/TimeCreated, attribute SystemTime
	computer string // Event/System/Computer
	// Event/EventData/Data by their attribute Name, and not by place: schema
	// versions from 3 to 4.90 differ in which there are, RuleName for one.
	data map[string]string
}

// maxDepth bounds the elements that are open at a time; events have four.
const maxDepth = 16

// parse reads one <Event>. It walks the tokens: decoding into a structure took
// twice the time.
func (x *sysmonXML) parse(text []byte) error {
	*x = sysmonXML{data: make(map[string]string, 20)}
	d := xml.NewDecoder(bytes.NewReader(text))
	var path []string // of the open elements
	var name string   // of the Data that is open
	for {
		token, err := d.RawToken()
		if err == io.EOF && len(path) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("bad XML: %w", noEOF(err))
		}
		switch t := token.(type) {
		case xml.StartElement:
			if path = append(path, t.Name.Local); len(path) > maxDepth {
				return errors.New("bad XML: elements too deep")
			}
			name = x.attributes(t)
		case xml.EndElement: // RawToken leaves the check to its caller
			if len(path) == 0 || path[len(path)-1] != t.Name.Local {
				return fmt.Errorf("bad XML: </%.40s> ends nothing", t.Name.Local)
			}
			path = path[:len(path)-1]
		case xml.CharData:
			x.text(path, name, t)
		}
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// attributes takes those of an element, and returns its Name.
func (x *sysmonXML) attributes(t xml.StartElement) (name string) {
	for _, a := range t.Attr {
		switch {
		case a.Name.Local == "Name" && t.Name.Local == "Provider":
			x.provider = a.Value
		case a.Name.Local == "Name":
			name = a.Value
		case a.Name.Local == "SystemTime" && t.Name.Local == "TimeCreated":
			x.created = a.Value
		}
	}
	return name
}

// text takes the text of an element, which entities and comments may divide.
func (x *sysmonXML) text(path []string, name string, t []byte) {
	if len(path) != 3 {
		return
	}
	switch last := path[2]; {
	case path[1] == "EventData" && last == "Data" && name != "":
		x.data[name] += string(t)
	case path[1] == "System" && last == "EventID":
		x.id += string(t)
	case path[1] == "System" && last == "Computer":
		x.computer += string(t)
	}
}

// sysmonEvents reads events one by one, with or without a root element, on as
// many lines as they take.
func sysmonEvents(in *Input, opt Options) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		c := chunks{in: in, line: 1}
		var e activity.Event
		p := newPeople(opt.Origin)
		for {
			text, line, err := c.next()
			if err == io.EOF {
				return
			}
			if err == nil {
				err = readSysmon(text, &e, p, opt)
			} else if !errors.Is(err, errLongEvent) && !errors.Is(err, errCutShort) {
				yield(nil, err)
				return
			}
			switch {
			case err == errNoRecord:
			case err != nil:
				if !yield(nil, lineError(line, bytes.TrimSpace(text), err)) {
					return
				}
			case !yield(&e, nil):
				return
			}
		}
	}
}

// sysmonConnection is the id of NetworkConnect.
const sysmonConnection = "3"

func readSysmon(text []byte, e *activity.Event, p *people, opt Options) error {
	var x sysmonXML
	if err := x.parse(text); err != nil {
		return err
	}
	switch {
	case strings.TrimSpace(x.id) != sysmonConnection || !strings.HasPrefix(x.provider, "Microsoft-Windows-Sysmon"):
		opt.Skipped.Other++
		return errNoRecord
	case opt.Host != "" && !strings.EqualFold(opt.Host, strings.TrimSpace(x.computer)):
		opt.Skipped.Foreign++
		return errNoRecord
	}
	return x.event(e, p)
}

// ComputerOf returns the computer that an XML event log begins with, "" where it
// cannot be told.
func ComputerOf(head []byte) string {
	c := chunks{in: &Input{}, buf: head, ended: true}
	text, _, err := c.next()
	var x sysmonXML
	if err != nil || x.parse(text) != nil {
		return ""
	}
	return strings.TrimSpace(x.computer)
}

// event fills e. Source is the end that began, whoever tells it: with Initiated
// false this host is the Destination.
func (x *sysmonXML) event(e *activity.Event, p *people) error {
	field := x.data
	for name, v := range field {
		if v = strings.TrimSpace(v); v == "-" { // Sysmon's word for none
			v = ""
		}
		field[name] = v
	}
	when, err := sysmonTime(field["UtcTime"], x.created)
	if err != nil {
		return err
	}
	proto, err := activity.ParseProto(strings.ToLower(field["Protocol"]))
	if err != nil {
		return fmt.Errorf("protocol: %w", err)
	}
	source, err := endpoint(field["SourceIp"], field["SourcePort"])
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	destination, err := endpoint(field["DestinationIp"], field["DestinationPort"])
	if err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	*e = activity.Event{Time: when, Kind: activity.KindConnect, Proto: proto, Tier: activity.TierImport, Local: source, Remote: destination,
		Role: activity.RoleCreator}
	inbound := strings.EqualFold(field["Initiated"], "false")
	if inbound {
		e.Kind, e.Role, e.Flags = activity.KindAccept, activity.RoleAcceptor, activity.FlagInbound
		e.Local, e.Remote = destination, source
	}
	// For UDP Sysmon reports the first datagram of an exchange.
	if proto == activity.UDP {
		e.Kind, e.Role = activity.KindFlow, activity.RoleUser
	}
	e.Process, err = p.find(field["ProcessId"], field["ProcessGuid"], field["Image"], field["User"])
	if err != nil {
		return err
	}
	if e.Process == nil {
		e.Unknown, e.Role = activity.FactOwner, activity.RoleNone
		return nil
	}
	e.Owner = e.Process.Key
	return nil
}

// sysmonTime prefers the event's own time, in UTC to the millisecond, to that of
// its writing.
func sysmonTime(utc, created string) (int64, error) {
	t, err := time.Parse("2006-01-02 15:04:05.999999999", utc)
	if err != nil {
		t, err = time.Parse(time.RFC3339Nano, created)
	}
	if err != nil || t.Year() < 1980 || t.Year() > 2200 {
		return 0, errors.New("bad UtcTime")
	}
	return t.UnixNano(), nil
}

func endpoint(ip, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.AddrPort{}, errAddr
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, errAddr
	}
	return netip.AddrPortFrom(a.WithZone("").Unmap(), uint16(n)), nil
}

// maxPeople bounds the processes that are remembered, so that one is one.
const maxPeople = 1 << 14

// people keeps the processes of a log by their GUID, which Sysmon makes of
// machine, start and pid.
type people struct {
	origin string
	all    map[string]*activity.Process
}

func newPeople(origin string) *people { return &people{origin: origin} }

// find returns a process, nil for one that the log does not name.
func (p *people) find(pid, guid, image, user string) (*activity.Process, error) {
	if pid == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(pid, 10, 32)
	if err != nil {
		return nil, errors.New("bad ProcessId")
	}
	if image == "<unknown process>" { // it was gone when Sysmon looked
		image = ""
	}
	if n == 0 || image == "" && user == "" && guid == "" {
		return nil, nil
	}
	id := strings.Join([]string{guid, pid, image, user}, "\x00")
	if q := p.all[id]; q != nil {
		return q, nil
	}
	if p.all == nil || len(p.all) >= maxPeople {
		p.all = make(map[string]*activity.Process)
	}
	// The key's start is of the boot clock, which the log does not have: the id
	// tells processes apart that had one pid, by their GUIDs.
	key := activity.ProcessKey{PID: uint32(n)}
	q := &activity.Process{ID: activity.MakeProcessID([]byte(p.origin+"\x00"+id), key, 0), Key: key, Start: guidStart(guid),
		Name: image[strings.LastIndexByte(image, '\\')+1:], User: user,
		UID: activity.NoID, EUID: activity.NoID, GID: activity.NoID, LoginUID: activity.NoID}
	// "System" and "Registry" are names, and no paths. Sysmon for Linux writes "/".
	if strings.Contains(image, `\`) || strings.Contains(image, "/") {
		q.Exe = image
	}
	p.all[id] = q
	return q, nil
}

// guidStart reads when a process began from its GUID, whose second and third
// groups are the Unix time: {A98268C1-957F-5ACD-...} is 0x5ACD957F.
func guidStart(guid string) int64 {
	g := strings.Split(strings.Trim(guid, "{}"), "-")
	if len(g) != 5 || len(g[1]) != 4 || len(g[2]) != 4 {
		return 0
	}
	s, err := strconv.ParseUint(g[2]+g[1], 16, 32)
	if err != nil {
		return 0
	}
	return int64(s) * 1e9
}

var (
	errLongEvent = errors.New("event is longer than 1 MiB")
	errCutShort  = errors.New("event is cut short")
)

// chunks cuts a stream of XML into its <Event> elements, so that what is broken
// costs one event.
type chunks struct {
	in    *Input
	store []byte
	buf   []byte // of store: read and not used yet
	line  int    // where buf begins
	ended bool
}

// next returns an element and its line, valid until the next call. What lies
// between elements is passed over.
func (c *chunks) next() ([]byte, int, error) {
	for {
		i := begin(c.buf)
		if i < 0 {
			keep := max(bytes.LastIndexByte(c.buf, '<'), 0)
			if len(c.buf)-keep > 16 {
				keep = len(c.buf) // no tag that could still become <Event
			}
			c.drop(keep)
			if err := c.more(); err != nil {
				return nil, 0, err
			}
			continue
		}
		c.drop(i)
		line := c.line
		text, err := c.element()
		c.drop(len(text))
		return text, line, err
	}
}

// element returns the element that buf begins with. One that another begins in
// was cut short.
func (c *chunks) element() ([]byte, error) {
	const end = "</Event>"
	for from := 1; ; { // from is where what was not looked at yet begins
		rest := c.buf[min(from, len(c.buf)):]
		stop, again := bytes.Index(rest, []byte(end)), begin(rest)
		switch {
		case again >= 0 && (stop < 0 || again < stop):
			return c.buf[:from+again], errCutShort
		case stop >= 0:
			return c.buf[:from+stop+len(end)], nil
		case len(c.buf) > maxLine:
			return c.buf, errLongEvent
		}
		from = max(1, len(c.buf)-16) // a tag may lie across two reads
		if err := c.more(); err == io.EOF {
			return c.buf, errCutShort
		} else if err != nil {
			return nil, err
		}
	}
}

// begin finds where an element begins: <Event>, or <Event and a blank.
func begin(b []byte) int {
	const tag = "<Event"
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(tag))
		if i < 0 || at+i+len(tag) >= len(b) {
			return -1
		}
		switch b[at+i+len(tag)] {
		case '>', ' ', '\t', '\r', '\n':
			return at + i
		}
		at += i + len(tag)
	}
}

func (c *chunks) drop(n int) {
	c.line += bytes.Count(c.buf[:n], []byte("\n"))
	c.buf = c.buf[n:]
}

// more reads on. What next returned before is overwritten.
func (c *chunks) more() error {
	if c.ended {
		return io.EOF
	}
	n := len(c.buf)
	if cap(c.store) < n+headBytes {
		c.store = make([]byte, 2*n+headBytes)
		copy(c.store, c.buf)
	} else {
		copy(c.store[:n], c.buf)
	}
	m, err := c.in.Read(c.store[n:cap(c.store)])
	c.buf = c.store[:n+m]
	if err == io.EOF {
		c.ended = true
		if m > 0 {
			return nil
		}
	}
	return err
}
