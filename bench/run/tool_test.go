//go:build unix

package run

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStart(t *testing.T) {
	tool, err := Start(Starting{Args: []string{"sh", "-c", "echo it is read >&2; echo y now >&2; exec sleep 60"}, Ready: "y now"})
	if err != nil {
		t.Fatal(err)
	}
	if tool.PID() == 0 {
		t.Error("no pid")
	}
	if _, err := tool.Stop(); err != nil {
		t.Error(err)
	}
}

func TestStartSettles(t *testing.T) {
	tool, err := Start(Starting{Args: []string{"sleep", "60"}, Settle: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tool.Stop(); err != nil {
		t.Error(err)
	}
}

func TestStartFails(t *testing.T) {
	for _, tt := range []struct {
		script, want string
	}{{"echo no such thing >&2; exit 3", "exit status 3: no such thing"}, {"exit 0", "too early"}} {
		if _, err := Start(Starting{Args: []string{"sh", "-c", tt.script}, Ready: "ready"}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.script, err, tt.want)
		}
	}
	if _, err := Start(Starting{Args: []string{"/none/such"}}); err == nil {
		t.Error("no error for a program that is not there")
	}
}

func TestExpand(t *testing.T) {
	got := Expand("{bin} record  --dir={dir}", map[string]string{"bin": "/x", "dir": "/tmp/a b"})
	if d := cmp.Diff([]string{"/x", "record", "--dir=/tmp/a b"}, got); d != "" {
		t.Error(d)
	}
}
