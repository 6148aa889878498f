package render

import (
	"path"
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// ocsfVersion is the version of the Open Cybersecurity Schema Framework that the
// events are of (schema.ocsf.io).
const ocsfVersion = "1.7.0"

// Numbers of class Network Activity, and its values of activity_id; type_uid is
// class_uid * 100 + activity_id.
const (
	ocsfClass = 4001 // of category 4

	ocsfOpen    = 1
	ocsfClose   = 2
	ocsfReset   = 3
	ocsfFail    = 4
	ocsfRefuse  = 5
	ocsfTraffic = 6
	ocsfListen  = 7
	ocsfOther   = 99
)

// appendOCSF appends e as an event of class Network Activity. What tells of the
// recorder is none.
func appendOCSF(b []byte, e *activity.Event, opt Options) []byte {
	if e.Kind.Coverage() || e.Kind == activity.KindNone || !e.Local.IsValid() && !e.Remote.IsValid() {
		return b
	}
	activityID := ocsfActivity(e)
	b = append(b, `{"category_uid":4,"category_name":"Network Activity","class_uid":`...)
	b = strconv.AppendInt(b, ocsfClass, 10)
	b = append(b, `,"class_name":"Network Activity"`...)
	b = appendUintField(b, "activity_id", uint64(activityID))
	if activityID == ocsfOther {
		b = appendWord(b, "activity_name", e.Kind.String())
	}
	b = appendUintField(b, "type_uid", uint64(ocsfClass*100+activityID))
	b = append(b, `,"severity_id":1,"severity":"Informational"`...)
	b = ocsfTime(b, "time", e.Time)
	b = ocsfStatus(b, e)
	if t := began(e); t != 0 {
		b = strconv.AppendInt(appendKey(b, "duration"), e.Duration/1e6, 10)
		b = ocsfTime(ocsfTime(b, "start_time", t), "end_time", e.Time)
	}
	b = ocsfMetadata(b, e)
	if opt.Host != "" {
		b = append(b, `,"device":{"type_id":0,"type":"Unknown"`...)
		b = append(appendStringField(b, "hostname", opt.Host), '}')
	}
	b = ocsfEnds(b, e)
	b = ocsfConnection(b, e)
	b = ocsfActor(b, e)
	return append(ocsfUnmapped(b, e), '}', '\n')
}

// ocsfTime appends an instant as OCSF has it: milliseconds since 1970.
func ocsfTime(b []byte, name string, ns int64) []byte {
	return strconv.AppendInt(appendKey(b, name), ns/1e6, 10)
}

// ocsfActivity is activity_id. The class has no word for the end of a listener,
// nor for what was found: those are 99, Other, and named by activity_name.
func ocsfActivity(e *activity.Event) int {
	switch e.Kind {
	case activity.KindListen:
		return ocsfListen
	case activity.KindBind:
		if e.Flags&activity.FlagAutoBind == 0 {
			return ocsfListen
		}
	case activity.KindConnect, activity.KindAccept, activity.KindFlow:
		return ocsfOpen
	case activity.KindFlowEnd:
		return ocsfTraffic
	case activity.KindClose:
		if e.Flags&activity.FlagReset != 0 {
			return ocsfReset
		}
		return ocsfClose
	case activity.KindConnectFailed:
		if e.Reason == activity.ReasonRefused {
			return ocsfRefuse
		}
		return ocsfFail
	case activity.KindBindFailed:
		return ocsfFail
	case activity.KindKnock:
		return ocsfRefuse
	}
	return ocsfOther
}

// ocsfStatus writes status_id, with the reason as the detail and the kernel's
// error number as the source's own code.
func ocsfStatus(b []byte, e *activity.Event) []byte {
	switch ecsOutcome(e) {
	case "success":
		b = append(b, `,"status_id":1,"status":"Success"`...)
	case "failure":
		b = append(b, `,"status_id":2,"status":"Failure"`...)
	default:
		b = append(b, `,"status_id":0,"status":"Unknown"`...)
	}
	if e.Reason != 0 {
		b = appendWord(b, "status_detail", e.Reason.String())
	}
	if e.Errno != 0 {
		b = appendStringField(b, "status_code", strconv.Itoa(int(e.Errno)))
	}
	return b
}

// ocsfMetadata names the schema, the product and the profiles, whose attributes
// (device and actor; container) are in use.
func ocsfMetadata(b []byte, e *activity.Event) []byte {
	b = append(b, `,"metadata":{"version":"`+ocsfVersion+`","product":{"name":"Port Reporter","vendor_name":"Port Reporter"},"profiles":["host"`...)
	if p := known(e.Process); p != nil && p.Container.ID != "" {
		b = append(b, `,"container"`...)
	}
	b = append(b, ']')
	b = appendStringField(b, "original_time", rfc3339(e.Time)) // to the nanosecond
	return append(appendUintField(b, "sequence", e.Seq), '}')
}

// ocsfEnds writes who began and who answered; a port without a peer is a
// destination to be.
func ocsfEnds(b []byte, e *activity.Event) []byte {
	source, destination := ends(e)
	if !e.Remote.IsValid() || e.Remote.Port() == 0 {
		source, destination = e.Remote, e.Local
	}
	if source.IsValid() && source.Port() != 0 {
		b = appendStringField(appendObject(b, "src_endpoint"), "ip", addrText(source))
		b = append(appendUintField(b, "port", uint64(source.Port())), '}')
	}
	if destination.IsValid() {
		b = appendStringField(appendObject(b, "dst_endpoint"), "ip", addrText(destination))
		b = append(appendUintField(b, "port", uint64(destination.Port())), '}')
	}
	return b
}

// ocsfConnection writes how the two talk, and how much: bytes_in and bytes_out are
// this host's.
func ocsfConnection(b []byte, e *activity.Event) []byte {
	b = appendObject(b, "connection_info")
	switch { // what is inside and outside of the network is not ours to say
	case !e.Remote.IsValid() || e.Remote.Port() == 0:
		b = append(b, `"direction_id":0,"direction":"Unknown"`...)
	case e.Remote.Addr().IsLoopback() || e.Remote.Addr() == e.Local.Addr():
		b = append(b, `"direction_id":4,"direction":"Local"`...)
	case inbound(e):
		b = append(b, `"direction_id":1,"direction":"Inbound"`...)
	default:
		b = append(b, `"direction_id":2,"direction":"Outbound"`...)
	}
	if e.Proto != 0 {
		b = appendUintField(b, "protocol_num", uint64(e.Proto))
		b = appendWord(b, "protocol_name", protoWord(e.Proto))
	}
	switch {
	case !e.Local.IsValid():
	case e.Local.Addr().Is4():
		b = appendUintField(b, "protocol_ver_id", 4)
	default:
		b = appendUintField(b, "protocol_ver_id", 6)
	}
	b = appendIf(b, "community_uid", communityID(e))
	b = append(b, '}')
	bytes, packets := bytesFact(e) == present, packetsFact(e) == present
	if !bytes && !packets {
		return b
	}
	b = appendObject(b, "traffic")
	if bytes {
		b = appendUintField(b, "bytes", e.Rx+e.Tx)
		b = appendUintField(b, "bytes_in", e.Rx)
		b = appendUintField(b, "bytes_out", e.Tx)
	}
	if packets {
		b = appendUintField(b, "packets", e.RxPackets+e.TxPackets)
		b = appendUintField(b, "packets_in", e.RxPackets)
		b = appendUintField(b, "packets_out", e.TxPackets)
	}
	return append(b, '}')
}

// ocsfActor writes the owner, of profile host.
func ocsfActor(b []byte, e *activity.Event) []byte {
	p := known(e.Process)
	pid := ownerPID(e.Owner, p)
	if pid == 0 {
		return b
	}
	b = appendUintField(appendObject(appendObject(b, "actor"), "process"), "pid", uint64(pid))
	if p != nil {
		b = ocsfProcess(b, p)
	}
	return append(b, '}', '}')
}

// ocsfProcess writes the owner's facts. type_id 1 of a file is a regular one,
// algorithm_id 3 of a fingerprint is SHA-256.
func ocsfProcess(b []byte, p *activity.Process) []byte {
	b = appendIf(b, "name", p.Name)
	if p.ID != 0 {
		b = appendStringField(b, "uid", strconv.FormatUint(uint64(p.ID), 16))
	}
	if p.Args != nil {
		b = appendStringField(b, "cmd_line", commandLine(p.Args))
	}
	if p.Start != 0 {
		b = ocsfTime(b, "created_time", p.Start)
	}
	if p.Cwd != "" {
		b = appendStringField(b, "working_directory", p.Cwd)
	}
	if p.Exe != "" {
		b = append(appendObject(b, "file"), `"type_id":1,"type":"Regular File"`...)
		b = appendStringField(b, "name", path.Base(strings.ReplaceAll(p.Exe, `\`, "/")))
		b = appendStringField(b, "path", p.Exe)
		if p.ExeSHA256 != "" {
			b = append(b, `,"hashes":[{"algorithm_id":3,"algorithm":"SHA-256"`...)
			b = append(appendStringField(b, "value", p.ExeSHA256), '}', ']')
		}
		b = append(b, '}')
	}
	b = appendIf(appendObject(b, "user"), "name", p.User)
	if p.UID != activity.NoID {
		b = appendStringField(b, "uid", strconv.FormatUint(uint64(p.UID), 10))
	}
	b = appendClose(b, "user")
	if parent := p.Parent(); !parent.Key.IsZero() {
		b = appendUintField(appendObject(b, "parent_process"), "pid", uint64(parent.Key.PID))
		b = append(appendIf(b, "name", parent.Name), '}')
	}
	if c := &p.Container; c.ID != "" {
		b = appendStringField(appendObject(b, "container"), "uid", c.ID)
		b = appendIf(b, "name", c.Name)
		b = appendIf(b, "runtime", c.Runtime)
		if c.Image != "" {
			b = append(appendStringField(appendObject(b, "image"), "name", c.Image), '}')
		}
		b = append(b, '}')
	}
	return b
}

// ocsfUnmapped keeps what the class has no attribute for.
func ocsfUnmapped(b []byte, e *activity.Event) []byte {
	b = appendWord(appendObject(b, "unmapped"), "kind", e.Kind.String())
	b = appendWord(b, "provenance", e.Provenance.String())
	if e.Tier != 0 {
		b = appendWord(b, "tier", e.Tier.String())
	}
	if e.Role != 0 {
		b = appendWord(b, "role", e.Role.String())
	}
	if e.NetNS != 0 {
		b = appendUintField(b, "netns", uint64(e.NetNS))
	}
	if e.Socket != 0 {
		b = appendUintField(b, "socket", e.Socket)
	}
	if p := known(e.Process); p != nil {
		b = appendIf(b, "unit", p.Unit.Name)
	}
	if h := known(e.Holder); h != nil {
		b = appendUintField(b, "holder_pid", uint64(h.Key.PID))
		b = appendIf(b, "holder_name", h.Name)
	}
	return append(b, '}')
}
