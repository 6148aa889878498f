package render

import (
	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/analyse"
)

// AppendEntryJSON appends an entry of a timeline as one line of JSON.
func AppendEntryJSON(b []byte, e *analyse.Entry, opt Options) []byte {
	b = append(b, `{"v":1`...)
	if opt.Host != "" {
		b = appendStringField(b, "host", opt.Host)
	}
	b = appendWord(b, "kind", e.Kind.String())
	b = appendInstant(b, "from", e.From)
	b = appendInstant(b, "to", e.To)
	if e.Kind == activity.KindGap {
		return append(appendStringField(b, "reason", e.Why), '}', '\n')
	}
	if e.Rest {
		b = appendBool(b, "rest", true)
	}
	if e.Proto != 0 {
		b = appendWord(b, "proto", protoWord(e.Proto))
	}
	b = appendSomeEnd(b, "local", e)
	b = appendSomeEnd(b, "remote", e)
	b = appendFlags(b, e.Flags)
	if e.NetNS != 0 {
		b = appendUintField(b, "netns", uint64(e.NetNS))
	}
	b = appendOwner(b, e.Owner, e.Process, !e.Rest && e.Kind != activity.KindKnock)
	if e.Processes > 1 {
		b = appendUintField(b, "processes", uint64(e.Processes))
	}
	b = appendHolders(b, &activity.Event{Holder: e.Holder, Holders: e.Others})
	if e.Reason != 0 {
		b = appendWord(b, "reason", e.Reason.String())
	}
	b = appendTally(b, &e.Tally, e.Kind)
	return append(appendPeers(b, e), '}', '\n')
}

// appendInstant appends a moment: null if it is not on record; with the earliest
// it can have been, if it is not exact.
func appendInstant(b []byte, name string, i analyse.Instant) []byte {
	b = appendTimeField(b, name, i.At)
	if i.IsZero() || i.Exact {
		return b
	}
	return appendTimeField(b, name+"_after", i.After)
}

// appendSomeEnd appends an end; its port is null where the entry is of several.
func appendSomeEnd(b []byte, name string, e *analyse.Entry) []byte {
	a := e.Local
	if name == "remote" {
		a = e.Remote
	}
	if !a.IsValid() || name == "remote" && !hasRemote(a) {
		return b
	}
	if a.Port() != 0 {
		return appendEnd(b, name, a, false)
	}
	b = appendStringField(append(appendKey(b, name), '{'), "ip", a.Addr().String())
	return append(appendNull(b, "port"), '}')
}

func appendTally(b []byte, n *analyse.Tally, kind activity.Kind) []byte {
	b = appendUintField(b, "count", n.Count)
	switch kind {
	case activity.KindBindFailed, activity.KindConnectFailed, activity.KindKnock:
		return b
	}
	b = appendUintField(b, "open", n.Open)
	return appendUintField(appendUintField(b, "rx", n.Rx), "tx", n.Tx)
}

func appendPeers(b []byte, e *analyse.Entry) []byte {
	if len(e.Peers) == 0 {
		return b
	}
	b = append(appendKey(b, "peers"), '[')
	for i := range e.Peers {
		p := &e.Peers[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		if p.Addr.IsValid() {
			b = appendStringField(b, "ip", p.Addr.String())
		} else {
			b = appendNull(b, "ip")
		}
		b = appendTally(b, &p.Tally, e.Kind)
		b = appendTimeField(appendTimeField(b, "first", p.First), "last", p.Last)
		b = append(b, '}')
	}
	return append(b, ']')
}
