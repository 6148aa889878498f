package render

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/portreporter/portreporter/internal/activity"
)

// parquetRow is an event with its process beside it. Names are those of the
// journal's columns (docs/JOURNAL.md) where they mean the same; null is "not
// applicable, or unknown", and unknown tells which.
type parquetRow struct {
	Time        int64    `parquet:"time,timestamp(nanosecond)"`
	Seq         uint64   `parquet:"seq,delta"`
	Host        string   `parquet:"host,optional,dict"`
	Kind        string   `parquet:"kind,dict"`
	Proto       string   `parquet:"proto,optional,dict"`
	LocalIP     string   `parquet:"local_ip,optional,dict"`
	LocalPort   *uint16  `parquet:"local_port,optional"`
	RemoteIP    string   `parquet:"remote_ip,optional,dict"`
	RemotePort  *uint16  `parquet:"remote_port,optional"`
	ServicePort uint16   `parquet:"service_port"`
	Inbound     bool     `parquet:"inbound"`
	PID         uint32   `parquet:"pid,optional"`
	Process     uint64   `parquet:"process,optional,dict"`
	Name        string   `parquet:"name,optional,dict"`
	Exe         string   `parquet:"exe,optional,dict"`
	Args        []string `parquet:"args,list"`
	Cwd         string   `parquet:"cwd,optional,dict"`
	Start       int64    `parquet:"start,optional,timestamp(nanosecond)"`
	PPID        uint32   `parquet:"ppid,optional"`
	Parent      string   `parquet:"parent,optional,dict"`
	UID         *uint32  `parquet:"uid,optional"`
	User        string   `parquet:"user,optional,dict"`
	LoginUser   string   `parquet:"login_user,optional,dict"`
	SHA256      string   `parquet:"exe_sha256,optional,dict"`
	Package     string   `parquet:"exe_package,optional,dict"`
	Unit        string   `parquet:"unit,optional,dict"`
	Runtime     string   `parquet:"container_runtime,optional,dict"`
	ContainerID string   `parquet:"container_id,optional,dict"`
	Container   string   `parquet:"container_name,optional,dict"`
	Image       string   `parquet:"container_image,optional,dict"`
	Pod         string   `parquet:"pod,optional,dict"`
	Role        string   `parquet:"role,optional,dict"`
	NetNS       uint32   `parquet:"netns,optional,dict"`
	Socket      uint64   `parquet:"socket,optional"`
	Rx          *uint64  `parquet:"rx,optional"`
	Tx          *uint64  `parquet:"tx,optional"`
	RxPackets   *uint64  `parquet:"rx_packets,optional"`
	TxPackets   *uint64  `parquet:"tx_packets,optional"`
	Duration    *int64   `parquet:"duration_ns,optional"`
	RTT         uint32   `parquet:"rtt_us,optional"`
	Retransmits *uint32  `parquet:"retransmits,optional"`
	Reason      string   `parquet:"reason,optional,dict"`
	Errno       uint16   `parquet:"errno,optional"`
	Closer      uint32   `parquet:"closer,optional"`
	Reset       *bool    `parquet:"reset,optional"`
	HolderPID   uint32   `parquet:"holder_pid,optional"`
	HolderName  string   `parquet:"holder_name,optional,dict"`
	CommunityID string   `parquet:"community_id,optional"`
	Tier        string   `parquet:"tier,optional,dict"`
	Provenance  string   `parquet:"provenance,dict"`
	Flags       uint16   `parquet:"flags"`
	Unknown     string   `parquet:"unknown,optional,dict"`
	From        int64    `parquet:"from,optional,timestamp(nanosecond)"`
	To          int64    `parquet:"to,optional,timestamp(nanosecond)"`
	Lost        uint64   `parquet:"lost,optional"`
	Detail      string   `parquet:"detail,optional"`
}

// Rows that are held before they are encoded, and in a row group.
const (
	parquetBatch = 256
	parquetGroup = 1 << 14
)

// Parquet writes events as one Parquet file, with a row group's worth of them in
// memory. It is not safe for concurrent use.
type Parquet struct {
	w    *parquet.GenericWriter[parquetRow]
	opt  Options
	rows []parquetRow
	n    int // in the row group
}

// NewParquet begins a file in w.
func NewParquet(w io.Writer, opt Options) *Parquet {
	return &Parquet{opt: opt, rows: make([]parquetRow, 0, parquetBatch), w: parquet.NewGenericWriter[parquetRow](w,
		parquet.Compression(&zstd.Codec{}), parquet.CreatedBy("Port Reporter", "", ""), parquet.KeyValueMetadata("portreporter.export", "1"))}
}

// Write adds e to the file.
func (p *Parquet) Write(e *activity.Event) error {
	p.rows = append(p.rows, p.row(e))
	if len(p.rows) < parquetBatch {
		return nil
	}
	return p.flush()
}

// flush encodes the rows that are held, and ends a row group that is full: what
// is written then needs no memory any more.
func (p *Parquet) flush() error {
	if _, err := p.w.Write(p.rows); err != nil {
		return fmt.Errorf("write parquet: %w", err)
	}
	p.n += len(p.rows)
	clear(p.rows)
	p.rows = p.rows[:0]
	if p.n < parquetGroup {
		return nil
	}
	p.n = 0
	if err := p.w.Flush(); err != nil {
		return fmt.Errorf("write parquet: %w", err)
	}
	return nil
}

// Close ends the file. w is the caller's to close.
func (p *Parquet) Close() error {
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.w.Close(); err != nil {
		return fmt.Errorf("write parquet: %w", err)
	}
	return nil
}

// row is e as one row. Zeros of optional columns are written as null: none of them
// has a zero that means something (no pid, port or inode is 0).
func (p *Parquet) row(e *activity.Event) parquetRow {
	r := parquetRow{Time: e.Time, Seq: e.Seq, Host: utf8Text(p.opt.Host), Kind: e.Kind.String(), ServicePort: e.Service(), Inbound: inbound(e),
		PID: ownerPID(e.Owner, known(e.Process)), Role: e.Role.String(), NetNS: e.NetNS, Socket: e.Socket, RTT: e.RTT, Errno: e.Errno, Closer: e.Closer,
		Reason: e.Reason.String(), CommunityID: communityID(e), Tier: e.Tier.String(), Provenance: e.Provenance.String(), Flags: uint16(e.Flags),
		Unknown: string(unknownFacts(nil, e.Unknown))}
	if e.Proto != 0 {
		r.Proto = protoWord(e.Proto)
	}
	r.LocalIP, r.LocalPort = parquetEnd(e.Local)
	r.RemoteIP, r.RemotePort = parquetEnd(e.Remote)
	r.counters(e)
	if q := known(e.Process); q != nil {
		r.process(q)
	}
	if h := known(e.Holder); h != nil {
		r.HolderPID, r.HolderName = h.Key.PID, utf8Text(h.Name)
	}
	if c := e.Coverage; c != nil {
		r.From, r.To, r.Lost, r.Reason, r.Detail = c.From, c.To, c.LostTotal(), utf8Text(c.Reason), utf8Text(c.Detail)
	}
	return r
}

func parquetEnd(a netip.AddrPort) (string, *uint16) {
	if !a.IsValid() {
		return "", nil
	}
	port := a.Port()
	return addrText(a), &port
}

// counters fills what is null where it does not apply or is not known: 0 bytes are
// something else than no word about them.
func (r *parquetRow) counters(e *activity.Event) {
	if bytesFact(e) == present {
		r.Rx, r.Tx = new(e.Rx), new(e.Tx)
	}
	if packetsFact(e) == present {
		r.RxPackets, r.TxPackets = new(e.RxPackets), new(e.TxPackets)
	}
	if durationFact(e) == present {
		r.Duration = new(e.Duration)
	}
	if retransmitsFact(e) == present {
		r.Retransmits = new(e.Retransmits)
	}
	if hasReset(e) {
		r.Reset = new(e.Flags&activity.FlagReset != 0)
	}
}

func (r *parquetRow) process(p *activity.Process) {
	r.Process, r.Name, r.Exe, r.Cwd, r.Start = uint64(p.ID), utf8Text(p.Name), utf8Text(p.Exe), utf8Text(p.Cwd), p.Start
	for _, a := range p.Args {
		r.Args = append(r.Args, utf8Text(a))
	}
	r.PPID, r.Parent = p.Parent().Key.PID, utf8Text(p.Parent().Name)
	if p.UID != activity.NoID {
		r.UID = new(p.UID)
	}
	r.User, r.LoginUser = utf8Text(p.User), utf8Text(p.LoginUser)
	r.SHA256, r.Package, r.Unit = utf8Text(p.ExeSHA256), utf8Text(p.ExePackage), utf8Text(p.Unit.Name)
	c := &p.Container
	r.Runtime, r.ContainerID, r.Container, r.Image, r.Pod = utf8Text(c.Runtime), utf8Text(c.ID), utf8Text(c.Name), utf8Text(c.Image), utf8Text(c.Pod)
}

// utf8Text is what Parquet takes for text: invalid bytes become U+FFFD, as in JSON.
func utf8Text(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
