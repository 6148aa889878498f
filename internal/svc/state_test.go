package svc

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseState(t *testing.T) {
	for name, c := range map[string]struct {
		in      string
		want    State
		wantErr bool
	}{
		"empty":                   {in: ""},
		"absent":                  {in: "LoadState=not-found\nActiveState=inactive\nMainPID=0\nStateChangeTimestamp=\n", want: State{Phase: "inactive"}},
		"failed":                  {in: "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nExecMainStatus=1\n", want: State{Installed: true, Phase: "failed", Problem: "exit-code (exit status 1)"}},
		"restarting":              {in: "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=watchdog\nExecMainStatus=0\n", want: State{Installed: true, Phase: "activating", Problem: "watchdog (exit status 0)"}},
		"stopped after a failure": {in: "ActiveState=inactive\nSubState=dead\nResult=exit-code\n", want: State{Phase: "inactive"}},
		"later key":               {in: "Colour=blue\nActiveState=active\n", want: State{Running: true, Phase: "active"}},
		"bad pid":                 {in: "MainPID=-4\n", wantErr: true},
		"no value":                {in: "garbage\n", wantErr: true},
	} {
		got, err := parseState([]byte(c.in))
		if (err != nil) != c.wantErr {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
	}
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte("LoadState=loaded\nMainPID=811\nStateChangeTimestamp=Tue 2026-11-24 20:41:50 UTC\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil && s != (State{}) {
			t.Errorf("%+v beside %v", s, err)
		}
		if s.PID < 0 {
			t.Errorf("pid %d", s.PID)
		}
	})
}
