//go:build linux

package cli

import (
	"bufio"
	"context"
	"io"
	"iter"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/control"
)

// fewSockets is a recorder with a fixed table.
type fewSockets []activity.Socket

func (f fewSockets) Sockets() iter.Seq2[*activity.Socket, error] {
	return func(yield func(*activity.Socket, error) bool) {
		for i := range f {
			if !yield(&f[i], nil) {
				return
			}
		}
	}
}
func (fewSockets) Status() (any, error)                             { return nil, nil }
func (fewSockets) Modules(activity.ModuleSetID) *activity.ModuleSet { return nil }

// A watch where a recorder runs misses nothing that comes and goes, and goes on
// by itself when the recorder ends.
func TestPortqryWatchesEvents(t *testing.T) {
	at := netip.MustParseAddrPort
	nginx := &activity.Process{ID: 1, Name: "nginx", Exe: "/usr/sbin/nginx", Key: activity.ProcessKey{PID: 4000000, Start: 1}}
	path := filepath.Join(t.TempDir(), "c")
	s, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(serving, fewSockets{
			{Cookie: 1, Proto: activity.TCP, State: activity.StateListen, Local: at("10.0.0.1:8080"), Owner: nginx.Key, Process: nginx},
			{Cookie: 2, Proto: activity.TCP, State: activity.StateListen, Local: at("10.0.0.1:9090"), Owner: nginx.Key, Process: nginx},
		})
	}()
	t.Setenv("PORTREPORTER_CONTROL_PATH", path)
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	a, err := parsePortqry([]string{"-wport", "8080", "-wt", "1"})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := newPortqry(a, strings.NewReader(""), w, "portqry").run(ctx)
		w.Close()
		ended <- err
	}()
	lines := bufio.NewScanner(r)
	until := func(want string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(strings.Join(strings.Fields(lines.Text()), " "), want) {
				return
			}
			if strings.Contains(lines.Text(), "9090") {
				t.Errorf("not watched: %s", lines.Text())
			}
		}
		t.Fatalf("in vain waited for %q", want)
	}
	until("4000000 TCP 8080 10.0.0.1 LISTENING 0.0.0.0")
	until("TCP ports in a LISTENING state: 1 = 100.00%")
	open := activity.Event{Kind: activity.KindAccept, Proto: activity.TCP, Socket: 3, Local: at("10.0.0.1:8080"), Remote: at("10.0.0.9:5555"), Owner: nginx.Key, Process: nginx}
	end := open
	end.Kind = activity.KindClose
	s.Publish(&open)
	s.Publish(&end)
	until("4000000 TCP 8080 10.0.0.1 LISTENING 0.0.0.0")
	until("4000000 TCP 8080 10.0.0.1 CLOSED 10.0.0.9:5555")
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	until("System Date: ") // of the tables of this machine, which have no such port
	cancel()
	go io.Copy(io.Discard, r)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
