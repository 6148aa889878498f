package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/svc"
)

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{context.Canceled, 1},
		{fmt.Errorf("list: %w", usagef("bad")), 2},
		{fmt.Errorf("events: %w: 3 segments unreadable", errPartial), 3},
		{usagef("bad: %w", errPartial), 2}, // usage is told first: nothing was done
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("exitCode(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"list", "events", "record", "service", "version", "json", "print"}
	for word, want := range map[string]string{
		"lst":                       "list",
		"lsit":                      "list", // neighbours swapped count once
		"LIST":                      "list",
		"ver":                       "version", // what it begins with
		"ve":                        "",        // too short to tell
		"recrod":                    "record",
		"jsn":                       "json",
		"xyzzy":                     "",
		"":                          "",
		strings.Repeat("list", 100): "",
	} {
		if got := nearest(word, words); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func FuzzNearest(f *testing.F) {
	f.Add("lst")
	f.Fuzz(func(t *testing.T, word string) {
		words := []string{"list", "events"}
		if got := nearest(word, words); got != "" && got != "list" && got != "events" {
			t.Errorf("nearest(%q) = %q", word, got)
		}
	})
}

func TestOneLine(t *testing.T) {
	got := oneLine("bad name \"a\nb\x1b[31m\u009b1m\x7f\": é")
	if want := "bad name \"a b [31m 1m \": é"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestVersionOf(t *testing.T) {
	build := &debug.BuildInfo{
		Main:     debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}},
	}
	for name, c := range map[string]struct {
		released string
		build    *debug.BuildInfo
		want     string
	}{
		"released":     {"0.1.0", build, "portreporter 0.1.0 commit 0123456789ab (modified) "},
		"go install":   {"", build, "portreporter v1.2.3 commit 0123456789ab (modified) "},
		"go run":       {"", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "portreporter devel "},
		"no buildinfo": {"", nil, "portreporter devel "},
	} {
		var b strings.Builder
		if err := printVersion(&b, versionOf(c.released, c.build), false); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(b.String(), c.want) {
			t.Errorf("%s: %q, want %q ...", name, b.String(), c.want)
		}
	}
}

func TestPrintServiceState(t *testing.T) {
	running := svc.State{Installed: true, Enabled: true, Running: true, Phase: "active", PID: 811, Since: time.Unix(1764016910, 0).UTC(), Text: "ebpf, 12 events/s\x1b"}
	for name, c := range map[string]struct {
		state svc.State
		json  bool
		want  string
	}{
		"absent":  {svc.State{Phase: "inactive"}, false, "not installed\n"},
		"running": {running, false, "active since 2025-11-24T20:41:50Z, pid 811, starts with the machine\nebpf, 12 events/s \n"},
		"failed": {svc.State{Installed: true, Phase: "failed", Problem: "exit-code (exit status 1)"}, false,
			"failed, does not start with the machine\nexit-code (exit status 1)\n"},
		"json": {running, true,
			`{"installed":true,"enabled":true,"running":true,"phase":"active","pid":811,"since":"2025-11-24T20:41:50Z","text":"ebpf, 12 events/s\u001b"}` + "\n"},
	} {
		var b strings.Builder
		if err := printServiceState(&b, c.state, c.json); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, b.String()); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
	}
}

// TestRunInterrupted: a command that ctx cut short failed; those that run until
// told to stop give nil.
func TestRunInterrupted(t *testing.T) {
	root := newRoot()
	root.AddCommand(&cobra.Command{Use: "wait", RunE: func(cmd *cobra.Command, _ []string) error {
		<-cmd.Context().Done()
		return fmt.Errorf("wait: %w", cmd.Context().Err())
	}})
	root.SetArgs([]string{"wait"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := root.ExecuteContext(ctx); exitCode(err) != exitFailed {
		t.Errorf("exit code %d, want %d", exitCode(err), exitFailed)
	}
}

func TestEveryCommandIsDocumented(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: Short %q: want one clause without a full stop", c.CommandPath(), c.Short)
		}
		if !c.HasSubCommands() && c.Args == nil {
			t.Errorf("%s: does not say what arguments it takes", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	for _, c := range newRoot().Commands() {
		if c.Name() != "help" {
			walk(c)
		}
	}
}

// configOf loads the configuration as a command with these arguments would.
func configOf(t *testing.T, args ...string) (Config, error) {
	t.Helper()
	var c Config
	cmd := &cobra.Command{Use: "test", SilenceErrors: true, SilenceUsage: true, RunE: func(cmd *cobra.Command, _ []string) (err error) {
		c, err = loadConfig(cmd)
		return err
	}}
	cmd.SetFlagErrorFunc(flagError)
	addConfigFlags(cmd)
	cmd.SetArgs(append([]string{}, args...))
	return c, cmd.Execute()
}

func TestConfigOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	text := "dir = '/file'\nsegment.rows = 2048\n[retention]\ndays = 1\nbytes = '20GB'\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PORTREPORTER_SEGMENT_ROWS", "4096")
	t.Setenv("PORTREPORTER_RETENTION_DAYS", "2")
	got, err := configOf(t, "--config", file, "--retention-days=3", "--classic-enabled=false")
	if err != nil {
		t.Fatal(err)
	}
	want := defaultConfig(os.Getenv)
	want.Dir = "/file"         // from the file
	want.RetentionBytes = 20e9 // too
	want.SegmentRows = 4096    // the environment wins over the file
	want.RetentionDays = 3     // a flag over both
	want.ClassicEnabled = false
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestConfigMistakes(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.toml")
	if err := os.WriteFile(bad, []byte("# one\ndri = '/x'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none")
	_, noneErr := os.Open(none)
	for name, c := range map[string]struct {
		env  string
		args []string
		want string
	}{
		"file":         {"", []string{"--config", bad}, bad + `:2: unknown key "dri"; did you mean "dir"?`},
		"missing file": {"", []string{"--config", none}, "configuration: " + noneErr.Error()},
		"environment":  {"often", nil, `environment: PORTREPORTER_SYNC: "often" is not a time such as 500ms, 1s or 2m`},
		"flag":         {"", []string{"--capture-tier", "epbf"}, `--capture-tier: unknown value "epbf": one of auto, ebpf, poll; did you mean "ebpf"?`},
		"flag number":  {"", []string{"--segment-rows", "12"}, `--segment-rows: 12 is not between 1024 and 1048576`},
		"flag name":    {"", []string{"--segment-row", "12"}, `unknown flag "--segment-row"; did you mean "--segment-rows"?`},
		"no value":     {"", []string{"--dir"}, `--dir needs a value`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PORTREPORTER_SYNC", c.env)
			_, err := configOf(t, c.args...)
			if exitCode(err) != exitUsage {
				t.Errorf("exit code %d for %v, want %d", exitCode(err), err, exitUsage)
			}
			if d := cmp.Diff(c.want, fmt.Sprint(err)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestConfigFlagsOfSomeKeys(t *testing.T) {
	cmd := &cobra.Command{Use: "test"}
	addConfigFlags(cmd, "dir", "control.path")
	if d := cmp.Diff([]string{"config", "control-path", "dir"}, flagNames(cmd)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestLogLevelNames(t *testing.T) {
	var c Config
	v := &levelValue{&c.LogLevel}
	for word, want := range map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError} {
		if err := v.Set(word); err != nil || c.LogLevel != want || v.String() != word {
			t.Errorf("Set(%q) = %v, level %v, String %q", word, err, c.LogLevel, v.String())
		}
	}
	if err := v.Set("INFO+1"); err == nil {
		t.Error("INFO+1 is taken")
	}
}
