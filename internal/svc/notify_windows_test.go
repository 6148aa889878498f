package svc

import (
	"context"
	"testing"

	"golang.org/x/sys/windows/svc"
)

// TestHandler plays the control manager: start, interrogate, stop.
func TestHandler(t *testing.T) {
	requests, status := make(chan svc.ChangeRequest), make(chan svc.Status)
	h := &handler{ctx: t.Context(), work: func(ctx context.Context, n *Notifier) error {
		if err := n.Ready(); err != nil {
			return err
		}
		<-ctx.Done()
		return n.Stopping()
	}}
	done := make(chan uint32)
	go func() {
		_, code := h.Execute(nil, requests, status)
		done <- code
	}()
	want := func(s svc.State) {
		t.Helper()
		if got := (<-status).State; got != s {
			t.Errorf("state %d, want %d", got, s)
		}
	}
	want(svc.StartPending)
	want(svc.Running)
	requests <- svc.ChangeRequest{Cmd: svc.Interrogate, CurrentStatus: svc.Status{State: svc.Running}}
	want(svc.Running)
	requests <- svc.ChangeRequest{Cmd: svc.Stop}
	want(svc.StopPending)
	if code := <-done; code != 0 || h.err != nil {
		t.Errorf("code %d, %v", code, h.err)
	}
}
