package control

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

func TestReadFrame(t *testing.T) {
	head := func(n uint32, b ...byte) []byte { return append(binary.LittleEndian.AppendUint32(nil, n), b...) }
	tests := []struct {
		name    string
		in      []byte
		typ     byte
		payload string
		err     error
	}{
		{name: "one", in: appendFrame(nil, frameError, []byte("\x00no")...), typ: frameError, payload: "\x00no"},
		{name: "no payload", in: appendFrame(nil, frameEnd), typ: frameEnd},
		{name: "nothing", err: io.EOF},
		{name: "half a head", in: []byte{1, 0}, err: io.ErrUnexpectedEOF},
		{name: "no type", in: head(0), err: ErrProtocol},
		{name: "head alone", in: head(5), err: io.ErrUnexpectedEOF},
		{name: "torn", in: head(5, 1, 2), err: io.ErrUnexpectedEOF},
		{name: "oversize", in: head(101, make([]byte, 101)...), err: ErrProtocol},
		{name: "huge", in: head(0xffffffff), err: ErrProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var buf []byte
			typ, payload, err := readFrame(bytes.NewReader(tt.in), &buf, 100)
			if !errors.Is(err, tt.err) || typ != tt.typ || string(payload) != tt.payload {
				t.Errorf("got %d %q %v", typ, payload, err)
			}
			if cap(buf) > 128 {
				t.Errorf("allocated %d bytes for a refused frame", cap(buf))
			}
		})
	}
}

func TestParseHello(t *testing.T) {
	ver, pid, err := parseHello(appendHello(nil, 4711)[5:])
	if ver != version || pid != 4711 || err != nil {
		t.Errorf("got %d %d %v", ver, pid, err)
	}
	for _, bad := range []string{"", "PRCTL", "PRCTL\x01", "PRCTX\x01\x00", "GET / HTTP/1.1"} {
		if _, _, err := parseHello([]byte(bad)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// What a hostile or confused client says ends its own connection at most.
func TestServerRefuses(t *testing.T) {
	hello := appendHello(nil, 0)
	newer := append([]byte(nil), hello...)
	newer[5+len(magic)] = version + 1
	tests := []struct {
		name string
		say  []byte
		want string // text of the error frame
	}{
		{"http", []byte("GET / HTTP/1.1\r\n\r\n"), "protocol error: frame of 542393671 bytes, limit 256"},
		{"request before hello", appendFrame(nil, requestList), "protocol error: bad hello"},
		{"newer version", newer, "other version: the recorder speaks version 1, this client 2; use the same release of both"},
		{"oversize request", append(bytes.Clone(hello), 1, 0x20, 0, 0), "protocol error: frame of 8193 bytes, limit 4096"},
		{"empty frame", append(bytes.Clone(hello), 0, 0, 0, 0), "protocol error: frame of 0 bytes, limit 4096"},
		{"unknown request", appendFrame(bytes.Clone(hello), 0x1f), "not supported: request 31 is unknown to this recorder"},
		{"short module id", appendFrame(bytes.Clone(hello), requestModules, 1, 2), "protocol error: module set id of 2 bytes"},
		{"follow without number", appendFrame(bytes.Clone(hello), requestFollow), "protocol error: bad number of recent events, limit 100000"},
		{"follow too much", appendFrame(bytes.Clone(hello), requestFollow, 0xff, 0xff, 0xff, 1), "protocol error: bad number of recent events, limit 100000"},
	}
	_, p, _ := serve(t, &recorder{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := p.raw(t)
			go c.Write(tt.say) // a pipe has no buffer
			if got := errorText(c); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			c.Close()
		})
	}
	if err := p.dial(t).Status(t.Context(), new(any)); err != nil {
		t.Errorf("the next client: %v", err)
	}
}

// errorText reads frames up to an error frame.
func errorText(c net.Conn) string {
	var buf []byte
	for {
		typ, payload, err := readFrame(c, &buf, maxFrame)
		if err != nil {
			return err.Error()
		}
		if typ == frameError {
			return parseError(payload).Error()
		}
	}
}

// What a hostile or confused server says is an error, and no more.
func TestClientRefuses(t *testing.T) {
	hello := appendHello(nil, 1)
	tests := []struct {
		name string
		say  []byte
		want string
	}{
		{"no hello", appendFrame(nil, frameEnd), "answer 3 to hello"},
		{"other version", appendFrame(nil, frameHello, []byte("PRCTL\x07\x01")...), "speaks version 7"},
		{"empty error", appendFrame(nil, frameError), "empty error"},
		{"hang up", nil, "the recorder closed the connection"},
		{"hang up in the answer", bytes.Clone(hello), "the recorder closed the connection"},
		{"oversize", append(bytes.Clone(hello), 0xff, 0xff, 0xff, 0x7f), "limit 16777216"},
		{"other answer", appendFrame(bytes.Clone(hello), frameJSON, '1'), "frame 35 in this answer"},
		{"record beyond its frame", appendFrame(bytes.Clone(hello), frameSockets, 200, 1, 1), "record beyond its frame"},
		{"bad socket", appendFrame(bytes.Clone(hello), frameSockets, 1, 1), "corrupt record"},
		{"bad process", appendFrame(bytes.Clone(hello), frameProcesses, 1, 1), "corrupt record"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, server := net.Pipe()
			go io.Copy(io.Discard, server)
			go func() { server.Write(tt.say); server.Close() }()
			c, err := newClient(t.Context(), client)
			if err == nil {
				for _, err = range c.List(t.Context()) {
				}
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestSenderSendsProcessesOnce(t *testing.T) {
	var out bytes.Buffer
	s := newSender(&out, frameEvents)
	p := process(1)
	newer := *p
	newer.Rev = 1
	e := activity.Event{Kind: activity.KindClose, Process: p, Holder: process(2), Holders: []*activity.Process{process(3), p}}
	for _, e.Process = range []*activity.Process{p, p, &newer} {
		if err := s.event(&e); err != nil {
			t.Fatal(err)
		}
		if err := s.flush(); err != nil {
			t.Fatal(err)
		}
	}
	var buf, types []byte
	for {
		typ, payload, err := readFrame(&out, &buf, maxFrame)
		if err == io.EOF {
			break
		}
		for rec := payload; len(rec) > 0; types = append(types, typ) {
			if _, rec, err = nextRecord(rec); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []byte{frameProcesses, frameProcesses, frameProcesses, frameEvents, frameEvents, frameProcesses, frameEvents}
	if d := cmp.Diff(want, types); d != "" {
		t.Errorf("records: -want +got\n%s", d)
	}
}

// FuzzServer gives the server any bytes after (or instead of) a hello. It must
// end the connection when its client has gone, without a panic.
func FuzzServer(f *testing.F) {
	hello := appendHello(nil, 0)
	f.Add(append(bytes.Clone(hello), appendFrame(nil, requestList)...))
	f.Add(append(bytes.Clone(hello), appendFrame(nil, requestModules, 9, 0, 0, 0, 0, 0, 0, 0)...))
	f.Add(append(bytes.Clone(hello), appendFrame(nil, requestFollow, 3)...))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := &recentRecorder{recorder{socks: table(3), recent: []activity.Event{event(1)}, set: &activity.ModuleSet{ID: 9}}}
		s := newServer(newPipes(), allow)
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.client(t.Context(), &conn{Conn: server, ctx: t.Context()}, h, true)
			server.Close()
		}()
		go io.Copy(io.Discard, client)
		client.SetDeadline(time.Now().Add(10 * time.Second))
		client.Write(b) // fails when the server hangs up, as it may
		client.Close()
		<-done
		if followers(s) != 0 {
			t.Error("a follower is left")
		}
	})
}

// FuzzClient gives the client any answer.
func FuzzClient(f *testing.F) {
	var out bytes.Buffer
	s := newSender(&out, frameSockets)
	for _, k := range table(3) {
		if err := s.socket(&k); err != nil {
			f.Fatal(err)
		}
	}
	if err := s.flush(); err != nil {
		f.Fatal(err)
	}
	f.Add(appendFrame(out.Bytes(), frameEnd))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &Client{conn: &canned{r: bytes.NewReader(b)}}
		for k, err := range c.List(t.Context()) {
			if (k == nil) == (err == nil) {
				t.Errorf("yielded %v, %v", k, err)
			}
		}
		c = &Client{conn: &canned{r: bytes.NewReader(b)}}
		for e, err := range c.Follow(t.Context(), 0) {
			if (e == nil) == (err == nil) {
				t.Errorf("yielded %v, %v", e, err)
			}
		}
	})
}

// canned is a connection that answers with fixed bytes.
type canned struct {
	net.Conn
	r io.Reader
}

func (c *canned) Read(b []byte) (int, error)  { return c.r.Read(b) }
func (c *canned) Write(b []byte) (int, error) { return len(b), nil }
func (c *canned) SetDeadline(time.Time) error { return nil }
func (c *canned) Close() error                { return nil }
