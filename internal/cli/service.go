package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/svc"
)

func newServiceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "service",
		Short: "Install, start, stop and remove the recorder as a service",
		Long: `Install, start, stop and remove the recorder as a service of this machine: a
systemd unit on Linux, a service of the service control manager on Windows. On
Linux it runs as the user portreporter with five capabilities, not as root.`,
	}
	m := svc.New()
	cmd.AddCommand(
		serviceAction("install", "Register this program as a service that starts with the machine",
			"installed; start it with `portreporter service start`", func(ctx context.Context) error { return installService(ctx, m) }),
		serviceAction("uninstall", "Stop and remove the service; record and configuration stay",
			"removed; the record and the configuration are still there", m.Uninstall),
		serviceAction("start", "Start the service, and wait until it records", "started", m.Start),
		serviceAction("stop", "Stop the service, and wait until its record is sealed", "stopped", m.Stop),
		newServiceStatusCommand(m),
	)
	return cmd
}

// serviceAction makes a command that does one thing and says that it is done.
func serviceAction(name, short, done string, do func(context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: short,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := do(cmd.Context()); err != nil {
				return err
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "portreporter: service "+done)
			return nil
		},
	}
}

// installService installs the running program, by its real path: a link in a
// home directory is no place that the service could start from.
func installService(ctx context.Context, m *svc.Manager) error {
	exe, err := os.Executable()
	if err == nil {
		exe, err = filepath.EvalSymlinks(exe)
	}
	if err != nil {
		return fmt.Errorf("service install: find this program: %w", err)
	}
	return m.Install(ctx, exe)
}

func newServiceStatusCommand(m *svc.Manager) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print whether the service runs; exit code 1 when it does not",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := m.State(cmd.Context())
			if err != nil {
				return err
			}
			if err := printServiceState(cmd.OutOrStdout(), s, asJSON); err != nil {
				return err
			}
			if !s.Running {
				return errors.New("service status: it is not running")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// serviceState is what `service status --json` prints; names are stable.
type serviceState struct {
	Installed bool       `json:"installed"`
	Enabled   bool       `json:"enabled"`
	Running   bool       `json:"running"`
	Phase     string     `json:"phase"`
	PID       int        `json:"pid,omitempty"`
	Since     *time.Time `json:"since,omitempty"`
	Text      string     `json:"text,omitempty"`
	Problem   string     `json:"problem,omitempty"`
}

func printServiceState(w io.Writer, s svc.State, asJSON bool) error {
	var since *time.Time
	if !s.Since.IsZero() {
		since = &s.Since
	}
	if asJSON {
		return json.NewEncoder(w).Encode(serviceState{s.Installed, s.Enabled, s.Running, s.Phase, s.PID, since, s.Text, s.Problem})
	}
	if !s.Installed {
		_, err := fmt.Fprintln(w, "not installed")
		return err
	}
	line := s.Phase
	if since != nil {
		line += " since " + since.Format(time.RFC3339)
	}
	if s.PID != 0 {
		line += fmt.Sprintf(", pid %d", s.PID)
	}
	if s.Enabled {
		line += ", starts with the machine"
	} else {
		line += ", does not start with the machine"
	}
	for _, more := range []string{s.Text, s.Problem} {
		if more != "" {
			line += "\n" + oneLine(more)
		}
	}
	_, err := fmt.Fprintln(w, line)
	return err
}
