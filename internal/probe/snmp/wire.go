package snmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/ber"
)

// Versions as they stand in messages.
const (
	v1  = 0
	v2c = 1
	v3  = 3
)

// Tags of RFC 3416 and RFC 2578.
const (
	null        = 0x05
	ipAddress   = 0x40
	timeTicks   = 0x43
	counter64   = 0x46
	opGet       = 0xa0
	opResponse  = 0xa2
	opReport    = 0xa8
	maxMessage  = 65507
	reportable  = 4
	userBased   = 3 // security model
	systemGroup = "\x2b\x06\x01\x02\x01\x01"
)

// objects are those of the system group, in its order: the number is their
// place, between the group and the instance 0.
func objects() map[byte]string {
	return map[byte]string{1: "sysDescr", 2: "sysObjectID", 3: "sysUpTime", 4: "sysContact", 5: "sysName", 6: "sysLocation", 7: "sysServices"}
}

var errNoAnswer = errors.New("not SNMP")

// getRequest asks for the system group.
func getRequest(version int64, community string, id int64) []byte {
	var list []byte
	for n := range byte(len(objects())) {
		list = append(list, ber.TLV(ber.Sequence, ber.Text(ber.OID, systemGroup+string([]byte{n + 1, 0})), ber.TLV(null))...)
	}
	return ber.TLV(ber.Sequence, ber.Int(ber.Integer, version), ber.Text(ber.OctetString, community), pdu(opGet, id, list))
}

func pdu(op byte, id int64, list []byte) []byte {
	return ber.TLV(op, ber.Int(ber.Integer, id), ber.Int(ber.Integer, 0), ber.Int(ber.Integer, 0), ber.TLV(ber.Sequence, list))
}

// discovery asks who the engine is, by a request without a user (RFC 3414
// section 4).
func discovery(id int64) []byte {
	empty := ber.TLV(ber.OctetString)
	zero := ber.Int(ber.Integer, 0)
	global := ber.TLV(ber.Sequence, ber.Int(ber.Integer, id), ber.Int(ber.Integer, maxMessage), ber.TLV(ber.OctetString, []byte{reportable}), ber.Int(ber.Integer, userBased))
	security := ber.TLV(ber.OctetString, ber.TLV(ber.Sequence, empty, zero, zero, empty, empty, empty))
	return ber.TLV(ber.Sequence, ber.Int(ber.Integer, v3), global, security, ber.TLV(ber.Sequence, empty, empty, pdu(opGet, id, nil)))
}

// replies are what came to the three requests, whose ids are id plus their version.
type replies struct {
	id     int64
	system [v2c + 1]*system // by version
	engine *engine
}

// system is an answer to getRequest.
type system struct {
	status int64
	fields []probe.Field
}

// engine is an answer to discovery.
type engine struct {
	id          []byte
	boots, time int64
}

// hear takes a datagram, or passes over what answers none of the requests.
func (r *replies) hear(b []byte) {
	e, _, err := ber.Parse(b)
	if err != nil || e.Tag != ber.Sequence {
		return
	}
	parts, err := e.Want(ber.Integer, 0, 0)
	if err != nil {
		return
	}
	switch version, err := parts[0].Int(); {
	case err != nil:
	case version == v3:
		if g, err := parseEngine(parts, r.id+v3); err == nil {
			r.engine = &g
		}
	case version == v1 || version == v2c:
		if s, err := parseSystem(parts[2], r.id+version); err == nil {
			r.system[version] = &s
		}
	}
}

// parseSystem reads the PDU of an answer.
func parseSystem(e ber.Element, id int64) (system, error) {
	parts, err := e.Want(ber.Integer, ber.Integer, ber.Integer, ber.Sequence)
	if err != nil || e.Tag != opResponse {
		return system{}, errNoAnswer
	}
	if got, err := parts[0].Int(); err != nil || got != id {
		return system{}, errNoAnswer
	}
	s := system{}
	if s.status, err = parts[1].Int(); err != nil {
		return system{}, err
	}
	list, err := parts[3].Children()
	if err != nil {
		return system{}, err
	}
	for _, b := range list {
		kv, err := b.Want(ber.OID, 0)
		if err != nil {
			return system{}, err
		}
		oid := string(kv[0].Value)
		if len(oid) != len(systemGroup)+2 || oid[:len(systemGroup)] != systemGroup {
			continue
		}
		name, known := objects()[oid[len(systemGroup)]]
		if v, ok := value(kv[1]); ok && known && len(s.fields) < len(objects()) {
			s.fields = append(s.fields, probe.Field{Name: name, Values: []string{v}})
		}
	}
	return s, nil
}

// value words a value; false for none, such as noSuchObject.
func value(e ber.Element) (string, bool) {
	switch e.Tag {
	case ber.Integer:
		v, err := e.Int()
		return strconv.FormatInt(v, 10), err == nil
	case ber.OctetString:
		if !utf8.Valid(e.Value) {
			return fmt.Sprintf("%x", e.Value), true
		}
		return string(e.Value), true
	case ber.OID:
		return e.Dotted(), true
	case timeTicks:
		v, err := e.Uint() // hundredths of a second
		if v > 1<<32 {
			return "", false
		}
		return (time.Duration(v) * 10 * time.Millisecond).String(), err == nil
	}
	if e.Tag > ipAddress && e.Tag <= counter64 {
		v, err := e.Uint()
		return strconv.FormatUint(v, 10), err == nil
	}
	return "", false
}

// parseEngine reads the report that answers a discovery (RFC 3412 section 6):
// version, header, security parameters in a string, then the report.
func parseEngine(parts []ber.Element, id int64) (engine, error) {
	header, err := parts[1].Want(ber.Integer)
	if err != nil || parts[1].Tag != ber.Sequence || parts[2].Tag != ber.OctetString {
		return engine{}, errNoAnswer
	}
	if got, err := header[0].Int(); err != nil || got != id {
		return engine{}, errNoAnswer
	}
	security, _, err := ber.Parse(parts[2].Value)
	if err != nil {
		return engine{}, err
	}
	p, err := security.Want(ber.OctetString, ber.Integer, ber.Integer)
	if err != nil {
		return engine{}, err
	}
	g := engine{id: bytes.Clone(p[0].Value)} // the datagram's memory is the next one's too
	if g.boots, err = p[1].Int(); err != nil {
		return engine{}, err
	}
	if g.time, err = p[2].Int(); err != nil || len(g.id) == 0 || len(g.id) > 32 {
		return engine{}, errNoAnswer
	}
	return g, nil
}

// answer tells all that came.
func (r *replies) answer(protocol string) *probe.Answer {
	a := &probe.Answer{Protocol: protocol}
	var versions []string
	var best *system
	for v, name := range []string{"1", "2c"} {
		if r.system[v] != nil {
			versions = append(versions, name)
			if best == nil || r.system[v].status == 0 {
				best = r.system[v]
			}
		}
	}
	if r.engine != nil {
		versions = append(versions, "3")
	}
	a.Add("versions", versions...)
	if best != nil {
		if best.status != 0 {
			a.Add("error-status", statusName(best.status))
		} else {
			a.Fields = append(a.Fields, best.fields...)
		}
	}
	if r.engine != nil {
		a.Add("engineID", fmt.Sprintf("%x", r.engine.id))
		if who := enterprise(r.engine.id); who != "" {
			a.Add("enterprise", who)
		}
		a.Add("engineBoots", strconv.FormatInt(r.engine.boots, 10))
		a.Add("engineTime", strconv.FormatInt(r.engine.time, 10))
	}
	a.Summary = r.gist(a)
	return a
}

func (r *replies) gist(a *probe.Answer) string {
	switch {
	case a.Get("sysDescr") != "" && a.Get("sysName") != "":
		return a.Get("sysName") + ", " + a.Get("sysDescr")
	case a.Get("sysDescr") != "":
		return a.Get("sysDescr")
	case a.Get("error-status") != "":
		return a.Get("error-status")
	case r.system[v1] != nil || r.system[v2c] != nil:
		return "no system group"
	}
	return "SNMPv3 alone, engine " + a.Get("engineID")
}

// enterprise is whose agent it is, which SnmpEngineID begins with (RFC 3411
// section 5): a number that IANA assigns, with the name of some.
func enterprise(id []byte) string {
	if len(id) < 4 {
		return ""
	}
	n := binary.BigEndian.Uint32(id) &^ (1 << 31) // the bit says how the rest is made
	name, ok := map[uint32]string{9: "Cisco", 11: "Hewlett-Packard", 311: "Microsoft", 2021: "UCD-SNMP", 2636: "Juniper", 8072: "net-snmp", 14988: "MikroTik"}[n]
	if !ok {
		return strconv.FormatUint(uint64(n), 10)
	}
	return fmt.Sprintf("%d %s", n, name)
}

// statusName is an error-status with its name (RFC 1157 section 4.1.1).
func statusName(status int64) string {
	names := []string{"noError", "tooBig", "noSuchName", "badValue", "readOnly", "genErr", "noAccess"}
	if status >= 0 && status < int64(len(names)) {
		return fmt.Sprintf("%d %s", status, names[status])
	}
	return strconv.FormatInt(status, 10)
}
