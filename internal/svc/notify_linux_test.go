package svc

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestNotify plays systemd's end of NOTIFY_SOCKET.
func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "60000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	failed := errors.New("work failed")
	err = Run(t.Context(), func(_ context.Context, n *Notifier) error {
		if n.WatchdogInterval() != time.Minute {
			t.Errorf("watchdog interval %v, want 1m", n.WatchdogInterval())
		}
		// The status must not become an assignment of its own.
		return errors.Join(n.Ready(), n.Status("12 events/s\nMAINPID=1"), n.Alive(), n.Stopping(), failed)
	})
	if !errors.Is(err, failed) {
		t.Fatalf("Run = %v, want the work's error", err)
	}
	var got []string
	buf := make([]byte, 4096)
	for range 4 {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(buf[:n]))
	}
	if d := cmp.Diff([]string{"READY=1", "STATUS=12 events/s MAINPID=1", "WATCHDOG=1", "STOPPING=1"}, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestNotifyNobody(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	err := Run(t.Context(), func(_ context.Context, n *Notifier) error {
		return errors.Join(n.Ready(), n.Status("x"), n.Alive(), n.Stopping())
	})
	if err != nil {
		t.Error(err)
	}
	var zero Notifier
	if err := errors.Join(zero.Ready(), zero.Alive()); err != nil {
		t.Error(err)
	}
}

func TestNotifyDeafManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	_ = Run(t.Context(), func(_ context.Context, n *Notifier) error {
		if n.Ready() == nil {
			t.Error("a socket that is not there is no error")
		}
		return nil
	})
}
