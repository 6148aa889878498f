package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestCLIDoc holds docs/CLI.md to the commands as they are; with -update it
// writes the page.
func TestCLIDoc(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "CLI.md")
	want := cliDoc(newRoot())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("docs/CLI.md is not what the commands say (go test ./internal/cli -run CLIDoc -update): -want +got\n%s", d)
	}
}

func cliDoc(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Commands

Written by a test from the program's own help texts: change those.

%s

%s

Results go to stdout, everything else to stderr: an error is one line there. %s

A mistake in the command line or the configuration is told with the nearest right thing, and nothing is done.

`, root.Short+".", strings.ReplaceAll(root.Long, "\n", " "), exitCodesHelp)
	docCommands(&b, root)
	docSettings(&b)
	return b.String()
}

func docCommands(b *strings.Builder, parent *cobra.Command) {
	for _, c := range parent.Commands() {
		if c.Hidden {
			continue
		}
		if !c.HasSubCommands() {
			fmt.Fprintf(b, "## %s\n\n```\n%s\n```\n\n%s\n\n", c.CommandPath(), c.UseLine(), described(c))
			docFlags(b, c)
			if c.HasExample() {
				fmt.Fprintf(b, "Examples:\n\n```\n%s\n```\n\n", strings.Trim(c.Example, "\n"))
			}
		}
		docCommands(b, c)
	}
}

// described gives the help text as Markdown; its indented lines stay code.
func described(c *cobra.Command) string {
	if c.Long == "" {
		return c.Short + "."
	}
	text := regexp.MustCompile(`(?m)^  (\S)`).ReplaceAllString(strings.TrimSpace(c.Long), "    $1")
	return text
}

// docFlags leaves out the flags that are settings where all are taken: the
// table of settings tells of them.
func docFlags(b *strings.Builder, c *cobra.Command) {
	setting := map[string]bool{}
	for _, s := range settings() {
		setting[s.flag()] = true
	}
	var rows, settingsTaken []string
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Hidden || f.Name == "help":
		case setting[f.Name]:
			settingsTaken = append(settingsTaken, "`--"+f.Name+"`")
		case f.Name == "config":
			rows = append(rows, "| `--config FILE` | configuration file |")
		default:
			rows = append(rows, flagRow(f))
		}
	})
	if len(rows) > 0 {
		fmt.Fprintf(b, "| flag | |\n|---|---|\n%s\n\n", strings.Join(rows, "\n"))
	}
	if len(settingsTaken) > 0 {
		fmt.Fprintf(b, "Settings: %s (see below).\n\n", strings.Join(settingsTaken, ", "))
	}
}

func flagRow(f *pflag.Flag) string {
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	kind, usage := pflag.UnquoteUsage(f)
	if kind != "" {
		name += " " + strings.ToUpper(kind)
	}
	return fmt.Sprintf("| `%s` | %s |", name, strings.ReplaceAll(usage, "|", `\|`))
}

func docSettings(b *strings.Builder) {
	c := machineDefaults()
	fmt.Fprint(b, `## Settings

Each is a key of `+"`/etc/portreporter/config.toml`"+` (`+"`%ProgramData%\\PortReporter\\config.toml`"+` on Windows, `+"`--config FILE`"+` anywhere), a flag, and an environment variable; a flag wins over the environment, and that over the file. The defaults are those of a machine-wide recorder on Linux; an ordinary user's record is in `+"`$XDG_STATE_HOME/portreporter`"+` (`+"`~/.local/state/portreporter`"+`).

| key | flag | environment | default | |
|---|---|---|---|---|
`)
	for _, s := range settings() {
		v := s.value(&c)
		help := s.help
		if w, ok := v.(interface{ words() []string }); ok {
			help += ": " + strings.Join(w.words(), ", ")
		}
		fmt.Fprintf(b, "| `%s` | `--%s` | `%s` | `%s` | %s |\n", s.key, s.flag(), s.env(), v, help)
	}
}

// machineDefaults are the defaults of root on Linux, whoever runs the test.
func machineDefaults() Config {
	c := defaultConfig(func(string) string { return "" })
	c.Dir, c.ControlPath = "/var/log/portreporter", "/run/portreporter/control.sock"
	return c
}

// TestPackagedConfig: the file in the packages names every key, with its default.
func TestPackagedConfig(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "packaging", "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	var untouched Config
	if err := parseConfig("config.toml", text, &untouched); err != nil || untouched != (Config{}) {
		t.Errorf("as it is, the file sets %+v, %v: want nothing", untouched, err)
	}
	active := regexp.MustCompile(`(?m)^#([a-z_]+ = )`).ReplaceAllString(string(text), "$1")
	var all Config
	if err := parseConfig("config.toml", []byte(active), &all); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(machineDefaults(), all); d != "" {
		t.Errorf("-default +file\n%s", d)
	}
	for _, s := range settings() {
		_, name, ok := strings.Cut(s.key, ".")
		if !ok {
			name = s.key
		}
		if !regexp.MustCompile(`(?m)^#` + name + ` = `).Match(text) {
			t.Errorf("%s is not in the file", s.key)
		}
	}
}
