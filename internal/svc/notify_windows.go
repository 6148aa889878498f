package svc

import (
	"context"
	"sync"

	"golang.org/x/sys/windows/svc"
)

func run(ctx context.Context, work func(context.Context, *Notifier) error) error {
	service, err := svc.IsWindowsService()
	if err != nil {
		return wrap("detect", err)
	}
	if !service {
		return work(ctx, &Notifier{})
	}
	h := &handler{ctx: ctx, work: work}
	if err := svc.Run(Name, h); err != nil {
		return wrap("run", err)
	}
	return h.err
}

// handler is the service as the control manager sees it.
type handler struct {
	ctx  context.Context
	work func(context.Context, *Notifier) error
	err  error // of work, once Execute is done
}

// Execute runs the work, and answers the control manager until it has ended.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	status <- svc.Status{State: svc.StartPending}
	n := &Notifier{send: (&reporter{status: status}).send}
	done := make(chan error, 1)
	go func() { done <- h.work(ctx, n) }()
	for {
		select {
		case h.err = <-done:
			if h.err != nil {
				return true, 1 // service specific: see the log
			}
			return false, 0
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				cancel()
			}
		}
	}
}

// reporter turns sd_notify words into states of the control manager.
type reporter struct {
	mu     sync.Mutex // one state at a time, in order
	status chan<- svc.Status
}

func (r *reporter) send(state string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch state {
	case "READY=1":
		r.status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	case "STOPPING=1":
		r.status <- svc.Status{State: svc.StopPending}
	}
	return nil
}
