package foreign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// tsv keeps what the directives at the head of a TSV log said: its columns may
// be any, in any order, and another head may follow.
type tsv struct {
	separator []byte
	unset     []byte
	fields    []string
}

func newTSV() *tsv { return &tsv{separator: []byte("\t"), unset: []byte("-")} }

// pathError says that the log is another of Zeek's.
type pathError string

func (e pathError) Error() string {
	return fmt.Sprintf("this is Zeek's %s.log, not its conn.log", string(e))
}

// record reads one line of either form. errNoRecord: it is a directive or empty.
func (t *tsv) record(line []byte, c *conn) error {
	*c = conn{duration: -1, origBytes: -1, respBytes: -1, origPkts: -1, respPkts: -1}
	switch {
	case len(bytes.TrimSpace(line)) == 0:
		return errNoRecord
	case line[0] == '#':
		return t.directive(line[1:])
	case line[0] == '{':
		if err := jsonRecord(line, c); err != nil {
			return err
		}
		return c.whole()
	case t.fields == nil:
		return errNoFields
	}
	// Empty is treated as unset: a set that is (empty) is none that we take.
	rest, more := line, true
	for i := 0; i < len(t.fields); i++ {
		if !more {
			return errColumns
		}
		var v []byte
		v, rest, more = bytes.Cut(rest, t.separator)
		if len(v) == 0 || bytes.Equal(v, t.unset) {
			continue
		}
		if err := c.set(t.fields[i], v); err != nil {
			return err
		}
	}
	if more {
		return errColumns
	}
	return c.whole()
}

// The most columns of a log, of which conn.log has about 25.
const maxFields = 256

func (t *tsv) directive(line []byte) error {
	if hex, ok := bytes.CutPrefix(line, []byte("separator ")); ok {
		s, err := unescape(string(bytes.TrimSpace(hex)))
		if err != nil || s == "" || len(s) > 8 {
			return errors.New("bad #separator")
		}
		t.separator = []byte(s)
		return errNoRecord
	}
	// #set_separator, #empty_field, #types, #open and #close say nothing that the
	// fields taken here depend on.
	name, value, _ := bytes.Cut(line, t.separator)
	switch string(name) {
	case "unset_field":
		t.unset = bytes.Clone(value)
	case "path":
		if string(value) != "conn" {
			return pathError(value[:min(len(value), 64)])
		}
	case "fields":
		fields := bytes.Split(value, t.separator)
		if len(fields) > maxFields {
			return errors.New("too many #fields")
		}
		t.fields = t.fields[:0]
		for _, f := range fields {
			t.fields = append(t.fields, string(f))
		}
	}
	return errNoRecord
}

// unescape undoes \x09, as Zeek writes its separator.
func unescape(s string) (string, error) {
	return strconv.Unquote(`"` + s + `"`)
}

// jsonConn is a record as Zeek's JSON writer makes it; id is nested where a
// shipper has made it so. Values are text, numbers or booleans.
type jsonConn struct {
	TS        json.RawMessage `json:"ts"`
	OrigH     json.RawMessage `json:"id.orig_h"`
	OrigP     json.RawMessage `json:"id.orig_p"`
	RespH     json.RawMessage `json:"id.resp_h"`
	RespP     json.RawMessage `json:"id.resp_p"`
	ID        *jsonID         `json:"id"`
	Proto     json.RawMessage `json:"proto"`
	Duration  json.RawMessage `json:"duration"`
	OrigBytes json.RawMessage `json:"orig_bytes"`
	RespBytes json.RawMessage `json:"resp_bytes"`
	OrigPkts  json.RawMessage `json:"orig_pkts"`
	RespPkts  json.RawMessage `json:"resp_pkts"`
	State     json.RawMessage `json:"conn_state"`
	LocalOrig json.RawMessage `json:"local_orig"`
	LocalResp json.RawMessage `json:"local_resp"`
}

type jsonID struct {
	OrigH json.RawMessage `json:"orig_h"`
	OrigP json.RawMessage `json:"orig_p"`
	RespH json.RawMessage `json:"resp_h"`
	RespP json.RawMessage `json:"resp_p"`
}

func jsonRecord(line []byte, c *conn) error {
	var j jsonConn
	if err := json.Unmarshal(line, &j); err != nil {
		return fmt.Errorf("bad JSON: %w", err)
	}
	// Vector, Filebeat and others unfold "id.orig_h" into an object.
	if j.ID != nil {
		j.OrigH, j.OrigP, j.RespH, j.RespP = j.ID.OrigH, j.ID.OrigP, j.ID.RespH, j.ID.RespP
	}
	for _, f := range [...]struct {
		name string
		v    json.RawMessage
	}{{"ts", j.TS}, {"id.orig_h", j.OrigH}, {"id.orig_p", j.OrigP}, {"id.resp_h", j.RespH}, {"id.resp_p", j.RespP}, {"proto", j.Proto},
		{"duration", j.Duration}, {"orig_bytes", j.OrigBytes}, {"resp_bytes", j.RespBytes}, {"orig_pkts", j.OrigPkts}, {"resp_pkts", j.RespPkts},
		{"conn_state", j.State}, {"local_orig", j.LocalOrig}, {"local_resp", j.LocalResp}} {
		v := []byte(f.v)
		if len(v) == 0 || string(v) == "null" {
			continue
		}
		// Numbers are kept as they are written: through a float64 ts would lose its
		// microseconds.
		if v[0] == '"' {
			var s string
			if err := json.Unmarshal(v, &s); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			v = []byte(s)
		}
		if err := c.set(f.name, v); err != nil {
			return err
		}
	}
	return nil
}

// parseTS reads an instant: seconds since 1970, or ISO 8601 as JSON logs have it
// with LogAscii::json_timestamps = JSON::TS_ISO8601.
func parseTS(v []byte) (int64, error) {
	if ns, ok := seconds(v); ok && ns > 0 {
		return ns, nil
	}
	t, err := time.Parse(time.RFC3339Nano, string(v))
	if err != nil || t.Year() < 1980 || t.Year() > 2200 {
		return 0, errTime
	}
	return t.UnixNano(), nil
}
