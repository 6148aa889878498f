package truth

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/portreporter/portreporter/internal/activity"
)

// Version is the version of the JSON Lines form.
const Version = 1

// maxLine bounds one line of a log: a batch of a million connections fits.
const maxLine = 16 << 20

// Log is the ground truth of one generator run.
type Log struct {
	NetNS      []uint32 // inodes of the network namespaces used; empty: any
	WallOffset int64    // CLOCK_REALTIME minus CLOCK_BOOTTIME, ns, when the run began
	From, To   uint64   // CLOCK_BOOTTIME ns when the run began and ended; 0 unknown
	Procs      []Proc   // Expect refers to them by N
	Expects    []Expect
	Exchanges  []Exchange
	Stats      []Stats
	Skips      []Skip
}

// Proc is one program image of one process. A process that executes another
// program has two, with the same PID and start.
type Proc struct {
	N        int      `json:"n"` // from 1, unique in a log
	PID      uint32   `json:"pid"`
	StartMin uint64   `json:"start_min"` // CLOCK_BOOTTIME ns, inclusive window of its start
	StartMax uint64   `json:"start_max"`
	Exe      string   `json:"exe,omitempty"`  // "" not asserted
	Args     []string `json:"args,omitempty"` // nil not asserted
	UID      uint32   `json:"uid"`
	PPID     uint32   `json:"ppid,omitempty"` // 0 not asserted
	Deleted  bool     `json:"deleted,omitempty"`
	MemFD    bool     `json:"memfd,omitempty"`
}

// Expect is one event that must be told once.
type Expect struct {
	Case   string // which scenario made it; names it in reports
	End    string // "client", "server" or "": which row of the report counts it
	Kind   activity.Kind
	Proto  activity.Proto
	Local  netip.AddrPort
	Remote netip.AddrPort

	Proc   int   // whose it is; 0 not asserted
	Alt    []int // others that would be right too
	Holder int   // bind-failed: who had the port
	Closer int   // who closed this end

	Bytes  bool // Rx and Tx are asserted
	Rx, Tx uint64
	Errno  uint16
	Reason activity.Reason
	Flags  activity.Flags // that must be set
	May    bool           // right when told, and right when not
}

// Exchange is one connection or datagram exchange, or with Pairs many alike; it
// stands for the events of both its ends (see Expand).
type Exchange struct {
	Case   string
	Proto  activity.Proto
	Client int // Proc numbers; 0: that end is not expected
	Server int
	From   netip.AddrPort // the client's end
	To     netip.AddrPort
	Pairs  []Pair // when set, the ports of From and To are taken from here

	Bytes    bool   // Up and Down are asserted
	Up, Down uint64 // payload from client to server, and back, of each
	Reset    bool   // both ends end by RST
	Mapped   bool   // IPv4 on IPv6 sockets
	Bound    bool   // UDP: the client's port was bound by bind(2), not by the kernel

	// Others that are right as owners too: of the ending of a connection, and of
	// any event of a UDP end, where several processes used the socket.
	ClientAlt, ServerAlt []int
	// Who closed each end; 0 not asserted.
	ClientCloser, ServerCloser int
}

// Skip says that this kernel or user cannot do a scenario; nothing of it is in
// the log.
type Skip struct {
	Case string `json:"case"`
	Why  string `json:"why"`
}

// Pair is the ports of one exchange.
type Pair struct{ Client, Server uint16 }

// Stats is what a run cost the generator; bench/cost reads it.
type Stats struct {
	Case    string `json:"case"`
	N       int    `json:"n"`
	Failed  int    `json:"failed,omitempty"`
	WallNS  int64  `json:"wall_ns"`
	OwnNS   int64  `json:"own_ns"`   // CPU of the generator's processes
	BusyNS  int64  `json:"busy_ns"`  // CPU of the whole machine, from /proc/stat
	TotalNS int64  `json:"total_ns"` // the same with idle time
}

// line is one line of the JSON Lines form: exactly one field is set.
type line struct {
	Head     *head       `json:"head,omitempty"`
	Proc     *Proc       `json:"proc,omitempty"`
	Expect   *expectJSON `json:"expect,omitempty"`
	Exchange *exchJSON   `json:"exchange,omitempty"`
	Stats    *Stats      `json:"stats,omitempty"`
	Skip     *Skip       `json:"skip,omitempty"`
}

type head struct {
	V          int      `json:"v"`
	NetNS      []uint32 `json:"netns,omitempty"`
	WallOffset int64    `json:"wall_offset_ns"`
	From       uint64   `json:"from,omitempty"`
	To         uint64   `json:"to,omitempty"`
}

type expectJSON struct {
	Case   string         `json:"case"`
	End    string         `json:"end,omitempty"`
	Kind   string         `json:"kind"`
	Proto  string         `json:"proto"`
	Local  netip.AddrPort `json:"local"`
	Remote netip.AddrPort `json:"remote"`
	Proc   int            `json:"proc,omitempty"`
	Alt    []int          `json:"alt,omitempty"`
	Holder int            `json:"holder,omitempty"`
	Closer int            `json:"closer,omitempty"`
	Bytes  *[2]uint64     `json:"rx_tx,omitempty"`
	Errno  uint16         `json:"errno,omitempty"`
	Reason string         `json:"reason,omitempty"`
	Flags  uint16         `json:"flags,omitempty"`
	May    bool           `json:"may,omitempty"`
}

type exchJSON struct {
	Case   string         `json:"case"`
	Proto  string         `json:"proto"`
	Client int            `json:"client,omitempty"`
	Server int            `json:"server,omitempty"`
	From   netip.AddrPort `json:"from"`
	To     netip.AddrPort `json:"to"`
	Pairs  []byte         `json:"pairs,omitempty"` // client and server port, big-endian, 4 bytes a pair
	Bytes  *[2]uint64     `json:"up_down,omitempty"`
	Reset  bool           `json:"reset,omitempty"`
	Mapped bool           `json:"mapped,omitempty"`
	Bound  bool           `json:"bound,omitempty"`

	ClientAlt    []int `json:"client_alt,omitempty"`
	ServerAlt    []int `json:"server_alt,omitempty"`
	ClientCloser int   `json:"client_closer,omitempty"`
	ServerCloser int   `json:"server_closer,omitempty"`
}

// Write writes the log as JSON Lines, the head first.
func (l *Log) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	put := func(v line) {
		_ = enc.Encode(v) // cannot fail but by its writer, and Flush tells that
	}
	put(line{Head: &head{V: Version, NetNS: l.NetNS, WallOffset: l.WallOffset, From: l.From, To: l.To}})
	for i := range l.Procs {
		put(line{Proc: &l.Procs[i]})
	}
	for i := range l.Exchanges {
		put(line{Exchange: l.Exchanges[i].json()})
	}
	for i := range l.Expects {
		put(line{Expect: l.Expects[i].json()})
	}
	for i := range l.Stats {
		put(line{Stats: &l.Stats[i]})
	}
	for i := range l.Skips {
		put(line{Skip: &l.Skips[i]})
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write ground truth: %w", err)
	}
	return nil
}

// Read reads what Write wrote.
func Read(r io.Reader) (*Log, error) {
	l := &Log{}
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	for n := 1; s.Scan(); n++ {
		if len(s.Bytes()) == 0 {
			continue
		}
		if err := l.add(s.Bytes()); err != nil {
			return nil, fmt.Errorf("read ground truth: line %d: %w", n, err)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("read ground truth: %w", err)
	}
	return l, nil
}

func (l *Log) add(b []byte) error {
	var v line
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch {
	case v.Head != nil:
		if v.Head.V != Version {
			return fmt.Errorf("version %d, want %d", v.Head.V, Version)
		}
		l.NetNS = append(l.NetNS, v.Head.NetNS...)
		l.WallOffset, l.From, l.To = v.Head.WallOffset, v.Head.From, v.Head.To
	case v.Proc != nil:
		l.Procs = append(l.Procs, *v.Proc)
	case v.Expect != nil:
		x, err := v.Expect.expect()
		if err != nil {
			return err
		}
		l.Expects = append(l.Expects, x)
	case v.Exchange != nil:
		x, err := v.Exchange.exchange()
		if err != nil {
			return err
		}
		l.Exchanges = append(l.Exchanges, x)
	case v.Stats != nil:
		l.Stats = append(l.Stats, *v.Stats)
	case v.Skip != nil:
		l.Skips = append(l.Skips, *v.Skip)
	default:
		return errors.New("no known record")
	}
	return nil
}

func (x *Expect) json() *expectJSON {
	j := &expectJSON{Case: x.Case, End: x.End, Kind: x.Kind.String(), Proto: x.Proto.String(), Local: x.Local, Remote: x.Remote,
		Proc: x.Proc, Alt: x.Alt, Holder: x.Holder, Closer: x.Closer, Errno: x.Errno, Reason: x.Reason.String(), Flags: uint16(x.Flags), May: x.May}
	if x.Bytes {
		j.Bytes = &[2]uint64{x.Rx, x.Tx}
	}
	return j
}

func (j *expectJSON) expect() (Expect, error) {
	k, err1 := activity.ParseKind(j.Kind)
	p, err2 := activity.ParseProto(j.Proto)
	r, err3 := activity.ParseReason(j.Reason)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Expect{}, err
	}
	x := Expect{Case: j.Case, End: j.End, Kind: k, Proto: p, Local: j.Local, Remote: j.Remote, Proc: j.Proc, Alt: j.Alt,
		Holder: j.Holder, Closer: j.Closer, Errno: j.Errno, Reason: r, Flags: activity.Flags(j.Flags), May: j.May}
	if j.Bytes != nil {
		x.Bytes, x.Rx, x.Tx = true, j.Bytes[0], j.Bytes[1]
	}
	return x, nil
}

func (x *Exchange) json() *exchJSON {
	j := &exchJSON{Case: x.Case, Proto: x.Proto.String(), Client: x.Client, Server: x.Server, From: x.From, To: x.To,
		Reset: x.Reset, Mapped: x.Mapped, Bound: x.Bound,
		ClientAlt: x.ClientAlt, ServerAlt: x.ServerAlt, ClientCloser: x.ClientCloser, ServerCloser: x.ServerCloser}
	for _, p := range x.Pairs {
		j.Pairs = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(j.Pairs, p.Client), p.Server)
	}
	if x.Bytes {
		j.Bytes = &[2]uint64{x.Up, x.Down}
	}
	return j
}

func (j *exchJSON) exchange() (Exchange, error) {
	p, err := activity.ParseProto(j.Proto)
	if err != nil {
		return Exchange{}, err
	}
	if len(j.Pairs)%4 != 0 {
		return Exchange{}, fmt.Errorf("pairs of %d bytes", len(j.Pairs))
	}
	x := Exchange{Case: j.Case, Proto: p, Client: j.Client, Server: j.Server, From: j.From, To: j.To,
		Reset: j.Reset, Mapped: j.Mapped, Bound: j.Bound,
		ClientAlt: j.ClientAlt, ServerAlt: j.ServerAlt, ClientCloser: j.ClientCloser, ServerCloser: j.ServerCloser}
	for b := j.Pairs; len(b) > 0; b = b[4:] {
		x.Pairs = append(x.Pairs, Pair{binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])})
	}
	if j.Bytes != nil {
		x.Bytes, x.Up, x.Down = true, j.Bytes[0], j.Bytes[1]
	}
	return x, nil
}
