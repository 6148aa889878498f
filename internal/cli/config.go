package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/journal"
)

// Config is what the recorder and its clients are set to. Each value comes
// from its default, the configuration file, the environment (PORTREPORTER_DIR,
// PORTREPORTER_SEGMENT_ROWS ...) or a flag (--dir, --segment-rows ...), the
// later ones winning. settings is the one list of them all.
type Config struct {
	Dir  string        // the record's directory
	Sync time.Duration // longest time until an event is on the disk; 0: each batch at once

	SegmentRows    int   // rows in a sealed segment
	RetentionDays  int   // segments older than this are removed; 0: never
	RetentionBytes int64 // oldest segments are removed beyond this; 0: no limit

	ProcessArgs string // full, redacted or none

	ClassicEnabled  bool   // write PR-INITIAL, PR-PORTS and PR-PIDS
	ClassicDir      string // their directory; "": classic in Dir
	ClassicModules  string // changed or every
	ClassicPorts    string // all or listeners
	ClassicMaxBytes int64  // rotate all three at this size of one

	ControlPath  string // the recorder's socket or pipe
	ControlGroup string // who may use it beside root; "": nobody

	CaptureTier      string // auto, ebpf or poll
	CaptureRingBytes int    // buffer between kernel and recorder; a power of two

	InterestEnabled   bool   // look for data of interest while recording
	InterestRules     string // the rule file; "": the one beside the configuration, if it is there
	InterestBaseline  string // what programs did before; "": baseline.json in Dir
	InterestResolve   bool   // ask the DNS for the names of addresses
	InterestLeast     string // the least severity that is told at once
	InterestSyslog    string // where to tell it: journald, local, udp://HOST ...; "" nowhere
	InterestWebhook   string // URL to POST it to; "" none
	InterestCommand   string // program to run for it, and its arguments, as a JSON list; "" none
	InterestPerMinute int    // most that is told each of these in a minute; 0 no limit

	LogLevel slog.Level
}

// setting is one thing to configure: key is its name in the file (dots are
// tables); flag and environment names follow from it.
type setting struct {
	key   string
	help  string
	value func(c *Config) pflag.Value
}

func (s setting) flag() string {
	return strings.ReplaceAll(strings.ReplaceAll(s.key, ".", "-"), "_", "-")
}

func (s setting) env() string {
	return "PORTREPORTER_" + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

func settings() []setting {
	return []setting{
		{"dir", "directory of the record", func(c *Config) pflag.Value { return &textValue{&c.Dir, true} }},
		{"sync", "longest time until an event is on the disk; 0 for at once", func(c *Config) pflag.Value { return &durationValue{&c.Sync, time.Hour} }},
		{"segment.rows", "rows in a sealed segment", func(c *Config) pflag.Value { return &numberValue{&c.SegmentRows, 1 << 10, 1 << 20} }},
		{"retention.days", "remove segments older than this; 0 for never", func(c *Config) pflag.Value { return &numberValue{&c.RetentionDays, 0, 36500} }},
		{"retention.bytes", "remove the oldest segments beyond this size; 0 for no limit", func(c *Config) pflag.Value { return &sizeValue{&c.RetentionBytes, 0, 1 << 60} }},
		{"process.args", "how much of command lines to record", func(c *Config) pflag.Value {
			return &choiceValue{&c.ProcessArgs, []string{"full", "redacted", "none"}}
		}},
		{"classic.enabled", "write the three classic logs too", func(c *Config) pflag.Value { return &boolValue{&c.ClassicEnabled} }},
		{"classic.dir", "directory of the classic logs; if not set, classic in that of the record", func(c *Config) pflag.Value { return &textValue{&c.ClassicDir, false} }},
		{"classic.modules", "when PR-PIDS lists a process's modules again", func(c *Config) pflag.Value {
			return &choiceValue{&c.ClassicModules, []string{"changed", "every"}}
		}},
		{"classic.ports", "what PR-PORTS and PR-PIDS hold: all, as the original did, or no connections", func(c *Config) pflag.Value {
			return &choiceValue{&c.ClassicPorts, []string{"all", "listeners"}}
		}},
		{"classic.max_bytes", "start new classic logs at this size", func(c *Config) pflag.Value { return &sizeValue{&c.ClassicMaxBytes, 64 << 10, 1 << 40} }},
		{"control.path", "socket where the recorder answers", func(c *Config) pflag.Value { return &textValue{&c.ControlPath, true} }},
		{"control.group", "group that may use that socket", func(c *Config) pflag.Value { return &textValue{&c.ControlGroup, false} }},
		{"capture.tier", "how to see the events", func(c *Config) pflag.Value {
			return &choiceValue{&c.CaptureTier, []string{"auto", "ebpf", "poll"}}
		}},
		{"capture.ring_bytes", "buffer between kernel and recorder, a power of two", func(c *Config) pflag.Value { return &powerValue{&c.CaptureRingBytes, 64 << 10, 1 << 30} }},
		{"interest.enabled", "look for data of interest while recording", func(c *Config) pflag.Value { return &boolValue{&c.InterestEnabled} }},
		{"interest.rules", "file of rules of interest; if not set, interest.toml beside the configuration file's default, if there is one", func(c *Config) pflag.Value { return &textValue{&c.InterestRules, false} }},
		{"interest.baseline", "what programs did before, as `interest learn` writes it; if not set, baseline.json in the record", func(c *Config) pflag.Value { return &textValue{&c.InterestBaseline, false} }},
		{"interest.resolve", "ask the DNS for the names of the addresses that rules about names meet", func(c *Config) pflag.Value { return &boolValue{&c.InterestResolve} }},
		{"interest.least", "least severity that is told at once", func(c *Config) pflag.Value {
			return &choiceValue{&c.InterestLeast, activity.Severities()}
		}},
		{"interest.syslog", "where to tell it: journald, local, udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT", func(c *Config) pflag.Value { return &textValue{&c.InterestSyslog, false} }},
		{"interest.webhook", "URL to POST it to, as JSON", func(c *Config) pflag.Value { return &textValue{&c.InterestWebhook, false} }},
		{"interest.command", "program to run for it, with its arguments: a JSON list of texts; it gets JSON on its standard input", func(c *Config) pflag.Value { return &listValue{&c.InterestCommand} }},
		{"interest.per_minute", "most that is told in a minute by each of these ways; 0 for no limit", func(c *Config) pflag.Value {
			return &numberValue{&c.InterestPerMinute, 0, 1 << 20}
		}},
		{"log.level", "what to tell on stderr", func(c *Config) pflag.Value { return &levelValue{&c.LogLevel} }},
	}
}

// defaultConfig gives the configuration where nothing is configured, for this
// machine and user; getenv is os.Getenv.
func defaultConfig(getenv func(string) string) Config {
	p := defaultPaths(getenv)
	return Config{
		Dir:              p.dir,
		Sync:             time.Second,
		SegmentRows:      32 << 10,
		RetentionDays:    90,
		RetentionBytes:   10 << 30,
		ProcessArgs:      "redacted",
		ClassicEnabled:   true,
		ClassicModules:   "changed",
		ClassicPorts:     "listeners", // a busy server's connections take more room there than in the journal, which has them all
		ClassicMaxBytes:  5 << 20,
		ControlPath:      p.control,
		CaptureTier:      "auto",
		CaptureRingBytes: 4 << 20,

		InterestEnabled:   true,
		InterestLeast:     "medium",
		InterestPerMinute: 60,

		LogLevel: slog.LevelInfo,
	}
}

// addConfigFlags gives cmd --config and a flag for each of the settings named
// by keys; for all of them when none is named.
func addConfigFlags(cmd *cobra.Command, keys ...string) {
	c := defaultConfig(os.Getenv) // only to show the defaults: loadConfig reads the flags
	cmd.Flags().String("config", "", "configuration file (default "+defaultPaths(os.Getenv).config+")")
	for _, s := range settings() {
		if len(keys) > 0 && !slices.Contains(keys, s.key) {
			continue
		}
		v := s.value(&c)
		f := cmd.Flags().VarPF(v, s.flag(), "", s.help)
		if w, ok := v.(interface{ words() []string }); ok {
			f.Usage += ": " + strings.Join(w.words(), ", ")
			// The only error is a flag that does not exist.
			_ = cmd.RegisterFlagCompletionFunc(s.flag(), cobra.FixedCompletions(w.words(), cobra.ShellCompDirectiveNoFileComp))
		}
		if _, ok := v.(*boolValue); ok {
			f.NoOptDefVal = "true"
		}
	}
}

// loadConfig puts the configuration together for cmd, to which addConfigFlags
// gave its flags. A default configuration file that does not exist is no
// error; one that --config names must be there. Mistakes are usage errors.
func loadConfig(cmd *cobra.Command) (Config, error) {
	return completeConfig(cmd, defaultConfig(os.Getenv))
}

// loadReaderConfig is loadConfig for the commands that read what a recorder
// wrote, or ask it: an ordinary user's default is then the machine's record
// and recorder, each if this user may use it, and else their own.
func loadReaderConfig(cmd *cobra.Command) (Config, error) {
	c := defaultConfig(os.Getenv)
	if !isAdmin() {
		c.preferMachine(machinePaths())
	}
	return completeConfig(cmd, c)
}

func (c *Config) preferMachine(machine paths) {
	if mayRead(machine.dir) && journal.Exists(machine.dir) {
		c.Dir = machine.dir
	}
	if mayConnect(machine.control) {
		c.ControlPath = machine.control
	}
}

// completeConfig overlays c, the defaults, with what is configured.
func completeConfig(cmd *cobra.Command, c Config) (Config, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return Config{}, fmt.Errorf("configuration flags: %w", err)
	}
	named := path != ""
	if !named {
		path = defaultPaths(os.Getenv).config
	}
	switch data, err := readConfigFile(path); {
	case err == nil:
		if err := parseConfig(path, data, &c); err != nil {
			return Config{}, err
		}
	case named || !errors.Is(err, fs.ErrNotExist):
		return Config{}, usagef("configuration: %w", err)
	}
	if err := configFromEnv(&c, os.LookupEnv); err != nil {
		return Config{}, err
	}
	return c, configFromFlags(&c, cmd.Flags())
}

// configFromEnv takes what the environment sets; an empty variable sets nothing.
func configFromEnv(c *Config, lookup func(string) (string, bool)) error {
	for _, s := range settings() {
		text, _ := lookup(s.env())
		if text == "" {
			continue
		}
		if err := s.value(c).Set(text); err != nil {
			return usagef("environment: %s: %w", s.env(), err)
		}
	}
	return nil
}

// configFromFlags takes the flags that were given, from their text: pflag has
// checked it, but into the Config that only held the defaults.
func configFromFlags(c *Config, flags *pflag.FlagSet) error {
	for _, s := range settings() {
		f := flags.Lookup(s.flag())
		if f == nil || !f.Changed {
			continue
		}
		if err := s.value(c).Set(f.Value.String()); err != nil {
			return usagef("--%s: %w", s.flag(), err)
		}
	}
	return nil
}
