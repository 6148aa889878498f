package svc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// stopPoll is how often the control manager is asked whether the service has
// come where it was sent: it has no call that waits.
const stopPoll = 200 * time.Millisecond

// manager speaks with the service control manager.
type manager struct{}

func newManager() manager { return manager{} }

func (manager) install(_ context.Context, exe string) error {
	return withManager(func(m *mgr.Mgr) error {
		config := mgr.Config{
			DisplayName: "Port Reporter",
			Description: "Records who opens, uses and closes the TCP and UDP ports of this computer.",
			StartType:   mgr.StartAutomatic,
		}
		s, err := m.CreateService(Name, exe, config, "record")
		if errors.Is(err, windows.ERROR_SERVICE_EXISTS) {
			s, err = renew(m, exe, config)
		}
		if err != nil {
			return err
		}
		defer s.Close()
		// Restart after a crash: at once, then each minute; a day without one forgets them.
		return s.SetRecoveryActions([]mgr.RecoveryAction{
			{Type: mgr.ServiceRestart, Delay: time.Second},
			{Type: mgr.ServiceRestart, Delay: time.Minute},
		}, uint32((24 * time.Hour).Seconds()))
	})
}

// renew points an installed service at exe.
func renew(m *mgr.Mgr, exe string, config mgr.Config) (*mgr.Service, error) {
	s, err := m.OpenService(Name)
	if err != nil {
		return nil, err
	}
	now, err := s.Config()
	if err == nil {
		now.DisplayName, now.Description, now.StartType = config.DisplayName, config.Description, config.StartType
		now.BinaryPathName = windows.EscapeArg(exe) + " record"
		err = s.UpdateConfig(now)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (m manager) uninstall(ctx context.Context) error {
	if err := m.stop(ctx); err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
		return err
	}
	return withService(func(s *mgr.Service) error { return s.Delete() })
}

func (manager) start(ctx context.Context) error {
	return withService(func(s *mgr.Service) error {
		if err := s.Start(); err != nil {
			return err
		}
		return await(ctx, s, svc.Running)
	})
}

func (manager) stop(ctx context.Context) error {
	return withService(func(s *mgr.Service) error {
		if _, err := s.Control(svc.Stop); err != nil {
			return err
		}
		return await(ctx, s, svc.Stopped)
	})
}

// await polls until s is in the state want.
func await(ctx context.Context, s *mgr.Service, want svc.State) error {
	tick := time.NewTicker(stopPoll)
	defer tick.Stop()
	for {
		st, err := s.Query()
		switch {
		case err != nil:
			return err
		case st.State == want:
			return nil
		case st.State == svc.Stopped:
			return fmt.Errorf("it ended at once (exit code %d, service code %d)", st.Win32ExitCode, st.ServiceSpecificExitCode)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (manager) state(context.Context) (State, error) {
	var s State
	err := withService(func(service *mgr.Service) error {
		st, err := service.Query()
		if err != nil {
			return err
		}
		config, err := service.Config()
		if err != nil {
			return err
		}
		s = State{
			Installed: true,
			Enabled:   config.StartType == mgr.StartAutomatic,
			Running:   st.State == svc.Running,
			Phase:     phase(st.State),
			PID:       int(st.ProcessId),
		}
		if st.State == svc.Stopped && st.Win32ExitCode != 0 && st.Win32ExitCode != uint32(windows.ERROR_SERVICE_NEVER_STARTED) {
			s.Problem = fmt.Sprintf("exit code %d, service code %d", st.Win32ExitCode, st.ServiceSpecificExitCode)
		}
		return nil
	})
	if errors.Is(err, ErrNotInstalled) {
		return State{Phase: "inactive"}, nil
	}
	return s, err
}

// phase gives a state of the control manager in systemd's words.
func phase(s svc.State) string {
	switch s {
	case svc.Running:
		return "active"
	case svc.StartPending:
		return "activating"
	case svc.StopPending:
		return "deactivating"
	default:
		return "inactive"
	}
}

func withManager(do func(*mgr.Mgr) error) error {
	m, err := mgr.Connect()
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return fmt.Errorf("%w: run it as administrator", ErrPrivilege)
	}
	if err != nil {
		return fmt.Errorf("service control manager: %w", err)
	}
	defer m.Disconnect()
	return do(m)
}

func withService(do func(*mgr.Service) error) error {
	return withManager(func(m *mgr.Mgr) error {
		s, err := m.OpenService(Name)
		if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
			return ErrNotInstalled
		}
		if err != nil {
			return err
		}
		defer s.Close()
		return do(s)
	})
}
