package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

// exportSamples are events of every kind, hostile ones, and a busy hour's.
func exportSamples() []*activity.Event {
	all := append(samples(), fuzzed(hostile), fuzzed("-"), fuzzed("a\tb\nc<script>alert(1)</script>"))
	long := fuzzed(strings.Repeat("A", 64<<10))
	long.Process.Args = []string{strings.Repeat("\xff\x00", 32<<10), "", `"quoted" \`}
	all = append(all, long)
	// As an imported log has it: a process of which little is known.
	all = append(all, &activity.Event{Time: 1e18, Kind: activity.KindAccept, Proto: activity.TCP, Local: addr("10.0.0.1:80"), Remote: addr("10.0.0.2:99"),
		Process: &activity.Process{Key: activity.ProcessKey{PID: 7}, Name: "a.exe", UID: activity.NoID}})
	h := testutil.NewHistory(7)
	for i := range 2000 {
		e := h.Next()
		e.Seq = uint64(i + 1)
		all = append(all, &e)
	}
	return all
}

func exported(t *testing.T, format string, events []*activity.Event) []byte {
	t.Helper()
	x := NewExport(format, Options{Host: "web1"})
	b := x.AppendHeader(nil)
	for _, e := range events {
		b = x.Append(b, e)
	}
	return x.AppendFooter(b)
}

func TestExportGolden(t *testing.T) {
	for _, format := range []string{"ecs", "ocsf", "zeek"} {
		golden(t, "events."+format, exported(t, format, samples()))
	}
	if got, want := exported(t, "jsonl", samples()[:1]), AppendJSON(nil, samples()[0], Options{Host: "web1"}); !bytes.Equal(got, want) {
		t.Errorf("jsonl is %s, want %s", got, want)
	}
	if NewExport("csv", Options{}) != nil {
		t.Error("a format that is none")
	}
}

// flatten lists the leaves of a document by their dotted names; those of an array
// have the array's.
func flatten(to map[string][]any, prefix string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, v := range v {
			flatten(to, strings.TrimPrefix(prefix+"."+k, "."), v)
		}
	case []any:
		if len(v) == 0 {
			to[prefix] = nil
		}
		for _, v := range v {
			flatten(to, prefix, v)
		}
	default:
		to[prefix] = append(to[prefix], v)
	}
}

// documents decodes JSON Lines, each with every name once.
func documents(t *testing.T, lines []byte) (all []map[string][]any) {
	t.Helper()
	if !utf8.Valid(lines) {
		t.Error("not UTF-8")
	}
	for line := range bytes.Lines(lines) {
		d := json.NewDecoder(bytes.NewReader(line))
		if err := noTwins(d); err != nil {
			t.Fatalf("%v in %.300s", err, line)
		}
		var v map[string]any
		d = json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%v in %.300s", err, line)
		}
		flat := map[string][]any{}
		flatten(flat, "", v)
		all = append(all, flat)
	}
	return all
}

// conforms checks a value against a type of a schema: a word, or for words and
// numbers of a closed list "word|word".
func conforms(v any, kind string) error {
	s, isText := v.(string)
	n, isNumber := v.(json.Number)
	switch kind {
	case "text":
		if !isText {
			return fmt.Errorf("%v is no text", v)
		}
	case "ip":
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return fmt.Errorf("%v is no address", v)
		}
	case "date":
		if _, err := time.Parse(time.RFC3339Nano, s); err != nil {
			return err
		}
	case "long": // signed, 64 bits
		if _, err := n.Int64(); !isNumber || err != nil {
			return fmt.Errorf("%v is no long", v)
		}
	case "port":
		if p, err := n.Int64(); !isNumber || err != nil || p < 0 || p > 65535 {
			return fmt.Errorf("%v is no port", v)
		}
	case "any":
	default:
		if !slices.Contains(strings.Split(kind, "|"), s+string(n)) {
			return fmt.Errorf("%v is none of %s", v, kind)
		}
	}
	return nil
}

func validate(t *testing.T, docs []map[string][]any, schema map[string]string, required []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, doc := range docs {
		for _, name := range required {
			if len(doc[name]) == 0 {
				t.Fatalf("%s is missing in %.300v", name, doc)
			}
		}
		for name, values := range doc {
			kind, ok := schema[name]
			for prefix, k := range schema { // a table's "x.*" is free below x
				if p, free := strings.CutSuffix(prefix, "*"); free && strings.HasPrefix(name, p) {
					kind, ok = k, true
				}
			}
			if !ok {
				t.Fatalf("%s is no field of the schema", name)
			}
			seen[name] = true
			for _, v := range values {
				if err := conforms(v, kind); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
	}
	for name := range schema {
		if !seen[name] && !strings.HasSuffix(name, "*") {
			t.Errorf("no sample has %s", name)
		}
	}
}

// ecsSchema is the part of the Elastic Common Schema that is written, from
// generated/ecs/ecs_flat.yml of github.com/elastic/ecs, 8.11: names, types, and
// the allowed values of event.kind, category, type and outcome. Keywords are
// "text".
func ecsSchema() map[string]string {
	return map[string]string{
		"@timestamp": "date", "ecs.version": "8.11.0", "event.kind": "event", "event.category": "network|host",
		"event.type":   "access|allowed|connection|denied|end|info|protocol|start|change",
		"event.module": "text", "event.dataset": "text", "event.action": "text", "event.outcome": "success|failure|unknown", "event.sequence": "long",
		"event.duration": "long", "event.start": "date", "event.end": "date", "event.reason": "text", "host.name": "text",
		"source.ip": "ip", "source.port": "port", "source.bytes": "long", "source.packets": "long",
		"destination.ip": "ip", "destination.port": "port", "destination.bytes": "long", "destination.packets": "long",
		"server.ip": "ip", "server.port": "port", "client.ip": "ip", "client.port": "port",
		"network.transport": "tcp|udp", "network.iana_number": "6|17", "network.type": "ipv4|ipv6", "network.direction": "ingress|egress",
		"network.community_id": "text", "network.bytes": "long", "network.packets": "long",
		"process.pid": "long", "process.name": "text", "process.executable": "text", "process.entity_id": "text", "process.args": "text",
		"process.args_count": "long", "process.command_line": "text", "process.working_directory": "text", "process.start": "date",
		"process.hash.sha256": "text", "process.parent.pid": "long", "process.parent.name": "text", "user.name": "text", "user.id": "text",
		"container.id": "text", "container.name": "text", "container.runtime": "text", "container.image.name": "text", "service.name": "text",
		"observer.product": "text", "observer.type": "text", "portreporter.*": "any",
	}
}

func TestECSSchema(t *testing.T) {
	docs := documents(t, exported(t, "ecs", exportSamples()))
	if len(docs) != len(exportSamples()) {
		t.Errorf("%d documents", len(docs))
	}
	validate(t, docs, ecsSchema(), []string{"@timestamp", "ecs.version", "event.kind", "event.category", "event.type"})
}

// ocsfSchema is the part of class Network Activity that is written, from
// schema.ocsf.io 1.7.0 (events/network/network_activity.json and the objects it
// refers to in github.com/ocsf/ocsf-schema): names, types and the enumerations.
func ocsfSchema() map[string]string {
	return map[string]string{
		"category_uid": "4", "category_name": "Network Activity", "class_uid": "4001", "class_name": "Network Activity",
		"activity_id": "0|1|2|3|4|5|6|7|99", "activity_name": "text", "type_uid": "400100|400101|400102|400103|400104|400105|400106|400107|400199",
		"severity_id": "1", "severity": "Informational", "time": "long", "status_id": "0|1|2|99", "status": "text", "status_detail": "text", "status_code": "text",
		"duration": "long", "start_time": "long", "end_time": "long",
		"metadata.version": "1.7.0", "metadata.product.name": "text", "metadata.product.vendor_name": "text", "metadata.profiles": "host|container",
		"metadata.original_time": "date", "metadata.sequence": "long", "device.type_id": "0", "device.type": "text", "device.hostname": "text",
		"src_endpoint.ip": "ip", "src_endpoint.port": "port", "dst_endpoint.ip": "ip", "dst_endpoint.port": "port",
		"connection_info.direction_id": "0|1|2|3|4|99", "connection_info.direction": "text", "connection_info.protocol_num": "6|17",
		"connection_info.protocol_name": "tcp|udp", "connection_info.protocol_ver_id": "4|6", "connection_info.community_uid": "text",
		"traffic.bytes": "long", "traffic.bytes_in": "long", "traffic.bytes_out": "long", "traffic.packets": "long", "traffic.packets_in": "long", "traffic.packets_out": "long",
		"actor.process.pid": "long", "actor.process.name": "text", "actor.process.uid": "text", "actor.process.cmd_line": "text", "actor.process.created_time": "long",
		"actor.process.working_directory": "text", "actor.process.file.type_id": "1", "actor.process.file.type": "text", "actor.process.file.name": "text",
		"actor.process.file.path": "text", "actor.process.file.hashes.algorithm_id": "3", "actor.process.file.hashes.algorithm": "text", "actor.process.file.hashes.value": "text",
		"actor.process.user.name": "text", "actor.process.user.uid": "text", "actor.process.parent_process.pid": "long", "actor.process.parent_process.name": "text",
		"actor.process.container.uid": "text", "actor.process.container.name": "text", "actor.process.container.runtime": "text", "actor.process.container.image.name": "text",
		"unmapped.*": "any",
	}
}

func TestOCSFSchema(t *testing.T) {
	docs := documents(t, exported(t, "ocsf", exportSamples()))
	validate(t, docs, ocsfSchema(), []string{"activity_id", "category_uid", "class_uid", "type_uid", "severity_id", "time", "metadata.version",
		"metadata.product.vendor_name", "connection_info.direction_id", "device.type_id"})
	for _, d := range docs {
		if id, _ := d["activity_id"][0].(json.Number).Int64(); d["type_uid"][0] != json.Number(strconv.FormatInt(400100+id, 10)) {
			t.Fatalf("activity %v has type %v", d["activity_id"], d["type_uid"])
		}
		if d["src_endpoint.ip"] == nil && d["dst_endpoint.ip"] == nil {
			t.Fatalf("neither end in %v", d)
		}
		if (d["activity_name"] != nil) != (d["activity_id"][0] == json.Number("99")) {
			t.Fatalf("activity %v is called %v", d["activity_id"], d["activity_name"])
		}
	}
	for _, e := range samples() {
		if got := appendOCSF(nil, e, Options{}); (len(got) == 0) != e.Kind.Coverage() {
			t.Errorf("%s is %q", e.Kind, got)
		}
	}
}

// Each column of each row of conn.log is of its type, and nothing in it breaks a
// line or a column.
func TestZeekSchema(t *testing.T) {
	out := string(exported(t, "zeek", exportSamples()))
	head, body, _ := strings.Cut(out, "#types")
	types, body, _ := strings.Cut(body, "\n")
	if !strings.HasPrefix(head, "#separator \\x09\n") || !strings.Contains(head, "\n#path\tconn\n#fields\tts\tuid\tid.orig_h\t") {
		t.Errorf("head %q", head)
	}
	kinds := strings.Split(strings.TrimPrefix(types, "\t"), "\t")
	states := map[string]int{}
	uids := map[string]bool{}
	for line := range strings.Lines(body) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(cells) != len(kinds) {
			t.Fatalf("%d columns in %.300q", len(cells), line)
		}
		for i, c := range cells {
			if err := zeekConforms(c, kinds[i]); err != nil {
				t.Fatalf("%s: %v", zeekFields()[i][0], err)
			}
		}
		states[cells[11]]++
		uids[cells[1]] = true
	}
	for s := range states {
		if !slices.Contains([]string{"S0", "S1", "SF", "REJ", "RSTO", "RSTR", "RSTOS0", "SHR", "OTH"}, s) {
			t.Errorf("conn_state %q", s)
		}
	}
	if states["SF"] == 0 || states["REJ"] == 0 || states["S1"] == 0 || len(uids) < 900 {
		t.Errorf("states %v, %d uids", states, len(uids))
	}
}

func zeekConforms(c, kind string) error {
	if c == "-" {
		return nil
	}
	for i := range len(c) {
		if c[i] < ' ' || c[i] > '~' {
			return fmt.Errorf("byte %#x in %.80q", c[i], c)
		}
	}
	var err error
	switch kind {
	case "time", "interval":
		_, err = strconv.ParseFloat(c, 64)
	case "count":
		_, err = strconv.ParseUint(c, 10, 64)
	case "port":
		_, err = strconv.ParseUint(c, 10, 16)
	case "addr":
		_, err = netip.ParseAddr(c)
	case "bool":
		if c != "T" && c != "F" {
			err = fmt.Errorf("bool %q", c)
		}
	case "string", "enum", "set[string]":
	default:
		err = fmt.Errorf("unknown type %q", kind)
	}
	return err
}

// One connection is one row, with the uid that it has at any stage.
func TestZeekRows(t *testing.T) {
	conn := func(k activity.Kind, f func(*activity.Event)) *activity.Event {
		e := &activity.Event{Time: 10e9, Kind: k, Proto: activity.TCP, Local: addr("10.0.0.1:40000"), Remote: addr("192.0.2.7:443"), Socket: 5, Unknown: activity.FactOwner}
		if f != nil {
			f(e)
		}
		return e
	}
	in := func(e *activity.Event) { e.Flags |= activity.FlagInbound }
	rows := func(events ...*activity.Event) (out []string) {
		text := string(exported(t, "zeek", events))
		for line := range strings.Lines(text) {
			if c := strings.Split(line, "\t"); line[0] != '#' {
				out = append(out, strings.Join([]string{c[0], c[2], c[4], c[6], c[8], c[9], c[10], c[11], c[12], c[13], c[16]}, " "))
			}
		}
		return out
	}
	closed := func(e *activity.Event) { e.Time, e.Duration, e.Rx, e.Tx = 12.5e9, 2.5e9, 7, 8 }
	tests := []struct {
		name   string
		events []*activity.Event
		want   []string
	}{
		{"closed", []*activity.Event{conn(activity.KindConnect, nil), conn(activity.KindClose, closed)}, []string{"10.000000 10.0.0.1 192.0.2.7 tcp 2.500000 8 7 SF T - -"}},
		{"open", []*activity.Event{conn(activity.KindConnect, nil)}, []string{"10.000000 10.0.0.1 192.0.2.7 tcp - - - S1 T - -"}},
		{"found", []*activity.Event{conn(activity.KindSnapshot, nil)}, []string{"10.000000 10.0.0.1 192.0.2.7 tcp - - - OTH T - -"}},
		{"inbound", []*activity.Event{conn(activity.KindClose, func(e *activity.Event) { closed(e); in(e) })}, []string{"10.000000 192.0.2.7 10.0.0.1 tcp 2.500000 7 8 SF - T -"}},
		{"reset by the peer", []*activity.Event{conn(activity.KindClose, func(e *activity.Event) { closed(e); e.Flags |= activity.FlagReset })}, []string{"10.000000 10.0.0.1 192.0.2.7 tcp 2.500000 8 7 RSTR T - -"}},
		{"reset here", []*activity.Event{conn(activity.KindClose, func(e *activity.Event) { closed(e); e.Flags |= activity.FlagReset; e.Closer = 9 })}, []string{"10.000000 10.0.0.1 192.0.2.7 tcp 2.500000 8 7 RSTO T - -"}},
		{"refused", []*activity.Event{conn(activity.KindConnectFailed, func(e *activity.Event) { e.Reason = activity.ReasonRefused })}, []string{"10.000000 10.0.0.1 192.0.2.7 tcp - - - REJ T - -"}},
		{"never left", []*activity.Event{conn(activity.KindConnectFailed, func(e *activity.Event) { e.Reason = activity.ReasonDenied })}, nil},
		{"knock", []*activity.Event{conn(activity.KindKnock, nil)}, []string{"10.000000 192.0.2.7 10.0.0.1 tcp - - - REJ - T -"}},
		{"no answer", []*activity.Event{conn(activity.KindFlowEnd, func(e *activity.Event) { closed(e); e.Rx, e.RxPackets, e.TxPackets, e.Proto = 0, 0, 1, activity.UDP })},
			[]string{"10.000000 10.0.0.1 192.0.2.7 udp 2.500000 8 0 S0 T - 1"}},
		{"a listener", []*activity.Event{conn(activity.KindListen, func(e *activity.Event) { e.Remote = netip.AddrPort{} })}, nil},
	}
	for _, tt := range tests {
		if d := cmp.Diff(tt.want, rows(tt.events...)); d != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, d)
		}
	}
	if a, b := zeekUID("h", conn(activity.KindConnect, nil), 10e9), zeekUID("h", conn(activity.KindClose, closed), 11e9); a != b || len(a) != 18 {
		t.Errorf("uids %q and %q", a, b)
	}
}

// The vectors of the specification (baseline/baseline_deflt.json of
// github.com/corelight/community-id-spec), TCP and UDP.
func TestCommunityID(t *testing.T) {
	for _, tt := range []struct {
		proto     activity.Proto
		src, dst  string
		want      string
		reachable bool
	}{
		{activity.TCP, "[2001:470:e5bf:dead:4957:2174:e82c:4887]:63943", "[2607:f8b0:400c:c03::1a]:25", "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=", true},
		{activity.TCP, "128.232.110.120:34855", "66.35.250.204:80", "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", true},
		{activity.UDP, "192.168.1.52:54585", "8.8.8.8:53", "1:d/FP5EW3wiY1vCndhwleRRKHowQ=", true},
	} {
		for _, e := range []activity.Event{{Proto: tt.proto, Local: addr(tt.src), Remote: addr(tt.dst)}, {Proto: tt.proto, Local: addr(tt.dst), Remote: addr(tt.src)}} {
			if got := communityID(&e); got != tt.want {
				t.Errorf("%v to %v is %q, want %q", e.Local, e.Remote, got, tt.want)
			}
		}
	}
	if got := communityID(&activity.Event{Proto: activity.TCP, Local: addr("0.0.0.0:80")}); got != "" {
		t.Errorf("a listener has %q", got)
	}
}

// The file reads back: every event, its values and its nulls.
func TestParquet(t *testing.T) {
	events := exportSamples()
	var b bytes.Buffer
	p := NewParquet(&b, Options{Host: "web1"})
	for _, e := range events {
		if err := p.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	rows, err := parquet.Read[parquetRow](bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(events) {
		t.Fatalf("%d rows of %d events", len(rows), len(events))
	}
	for i, e := range events {
		want := p.row(e)
		if len(want.Args) == 0 {
			want.Args = nil
		}
		if len(rows[i].Args) == 0 {
			rows[i].Args = nil
		}
		if d := cmp.Diff(want, rows[i]); d != "" {
			t.Fatalf("row %d (%s): -want +got\n%s", i, e.Kind, d)
		}
		for _, s := range append([]string{rows[i].Name, rows[i].Exe, rows[i].Reason, rows[i].Detail}, rows[i].Args...) {
			if !utf8.ValidString(s) {
				t.Fatalf("row %d has %q", i, s)
			}
		}
	}
	last := rows[len(samples())-1]
	if last.Kind != "gap" && last.Host != "web1" {
		t.Errorf("row %+v", last)
	}
}

// full disks are told.
type refusing struct{ after int }

func (r *refusing) Write(b []byte) (int, error) {
	if r.after -= len(b); r.after < 0 {
		return 0, fmt.Errorf("disk full")
	}
	return len(b), nil
}

func TestParquetFault(t *testing.T) {
	p := NewParquet(&refusing{after: 10}, Options{})
	var err error
	for range 2 * parquetGroup {
		if err = p.Write(samples()[0]); err != nil {
			break
		}
	}
	if err == nil {
		err = p.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "write parquet: ") {
		t.Errorf("error %v", err)
	}
}

func TestCommandLine(t *testing.T) {
	for want, args := range map[string][]string{"": nil, `a b`: {"a", "b"}, `a "" "b c"`: {"a", "", "b c"}, `"a\"b" "c\\d"`: {`a"b`, `c\d`}} {
		if got := commandLine(args); got != want {
			t.Errorf("%q is %s, want %s", args, got, want)
		}
	}
}

// Whatever text a process has, each format is whole: JSON of one line a document,
// conn.log of as many columns as it names.
func FuzzExport(f *testing.F) {
	for _, s := range []string{hostile, "-", "(empty)", "a\tb", "\xff", "\\x09"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := fuzzed(s)
		for _, format := range []string{"ecs", "ocsf"} {
			documents(t, exported(t, format, []*activity.Event{e}))
			if n := bytes.Count(exported(t, format, []*activity.Event{e}), []byte("\n")); n > 1 {
				t.Fatalf("%d lines of %s", n, format)
			}
		}
		line := zeekOwner(nil, e)
		if n := bytes.Count(line, []byte("\t")); n != 4 || bytes.ContainsAny(line, "\n\r") || !utf8.Valid(line) {
			t.Fatalf("columns %q", line)
		}
		if row := (&Parquet{}).row(e); !utf8.ValidString(row.Name + row.Exe + strings.Join(row.Args, "")) {
			t.Fatalf("row %+v", row)
		}
	})
}

func BenchmarkExport(b *testing.B) {
	h := testutil.NewHistory(1)
	events := make([]activity.Event, 10000)
	for i := range events {
		events[i] = h.Next()
	}
	for _, format := range []string{"jsonl", "ecs", "ocsf", "zeek"} {
		b.Run(format, func(b *testing.B) {
			x := NewExport(format, Options{Host: "web1"})
			var out []byte
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				out = x.Append(out[:0], &events[i%len(events)])
			}
		})
	}
	b.Run("parquet", func(b *testing.B) {
		var size counter
		p := NewParquet(&size, Options{Host: "web1"})
		n := 0
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := p.Write(&events[i%len(events)]); err != nil {
				b.Fatal(err)
			}
			n++
		}
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(size)/float64(n), "bytes/event")
	})
}

type counter int

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }
