package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/interest"
	"github.com/portreporter/portreporter/internal/render"
)

func newInterestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "interest",
		Short: "Check, list and try the rules of interest, and learn what is usual",
		Long: `Check, list and try the rules that say what deserves a look, and learn what
programs usually do. docs/INTEREST.md is the reference of the rules.`,
	}
	cmd.AddCommand(newInterestCheckCommand(), newInterestListCommand(), newInterestTestCommand(), newInterestLearnCommand())
	return cmd
}

// newInterestCheckCommand: what is checked is what record and events would load,
// with the same code.
func newInterestCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [FILE|DIR ...]",
		Short: "Check rule files and Sigma rules",
		Long: `Check rule files (TOML), Sigma rules (YAML), and directories of Sigma rules: what
loads, and of what does not the place and why. Without an argument, the rules
that are configured are checked.

The exit code is 2 where a rule file is wrong, and 3 where Sigma rules do not
load: they are left out, and the rest is used.`,
		Example: `  portreporter interest check /etc/portreporter/interest.toml
  portreporter interest check ~/sigma/rules/windows/network_connection`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadReaderConfig(cmd)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return checkConfigured(cfg, cmd.OutOrStdout())
			}
			return checkRules(args, cmd.OutOrStdout())
		},
	}
	addConfigFlags(cmd, append(interestKeys(), "dir")...)
	return cmd
}

// checkConfigured checks what the recorder would load.
func checkConfigured(cfg Config, out io.Writer) error {
	r, err := loadRules(cfg, nil, nil)
	if err != nil {
		return err
	}
	for _, err := range r.skipped {
		fmt.Fprintln(out, oneLine(err.Error()))
	}
	fmt.Fprintf(out, "%s, of %s\n", count(len(r.set.Rules()), "rule"), strings.Join(existing(r.files), " and "))
	return notAll(len(r.skipped))
}

// existing keeps the files that are there; the program's own rules always are.
func existing(files []string) []string {
	kept := []string{"the program's own"}
	for _, f := range files {
		if _, err := os.Stat(f); err == nil {
			kept = append(kept, f)
		}
	}
	return kept
}

// notAll is the error of rules that were left out, nil for none.
func notAll(skipped int) error {
	if skipped > 0 {
		return fmt.Errorf("interest check: %w: %s cannot be asked here", errPartial, count(skipped, "Sigma rule"))
	}
	return nil
}

// checkRules checks files and directories that need not be configured.
func checkRules(paths []string, out io.Writer) error {
	b := interest.NewBuilder(interest.Options{Filter: filter.Options{Now: time.Now(), Location: time.Local, Services: servicePort}})
	skipped := 0
	for _, path := range paths {
		st, err := os.Stat(path)
		if err != nil {
			return usagef("interest check: %w", err)
		}
		if !st.IsDir() && !isYAML(path) {
			if err := checkFile(b, path, out); err != nil {
				return usagef("interest check: %w", err)
			}
			continue
		}
		loaded := 0
		files, err := addSigma(b, path, func(name string, err error) {
			switch {
			case err == nil:
				loaded++
			case !mentions(err.Error(), name):
				fmt.Fprintf(out, "%s: %s\n", oneLine(name), oneLine(err.Error()))
			default:
				fmt.Fprintln(out, oneLine(err.Error()))
			}
		})
		if err != nil {
			return usagef("interest check: %w", err)
		}
		skipped += files - loaded
		fmt.Fprintf(out, "%s: %d of %s load\n", oneLine(path), loaded, count(files, "Sigma file"))
	}
	if _, err := b.Set(); err != nil {
		return usagef("interest check: %w", err)
	}
	return notAll(skipped)
}

func mentions(text, name string) bool { return strings.Contains(text, name) }

// checkFile checks a rule file, and that the Sigma rules it names are there.
func checkFile(b *interest.Builder, path string, out io.Writer) error {
	data, err := readBounded(path, maxRuleFile)
	if err != nil {
		return err
	}
	before := len(built(b))
	if err := b.Add(path, data); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s\n", oneLine(path), count(len(built(b))-before, "rule"))
	return nil
}

// built lists the rules of b that are not disabled; what is disabled and does
// not exist is told later.
func built(b *interest.Builder) []interest.Rule {
	set, err := b.Set()
	if err != nil {
		return nil
	}
	return set.Rules()
}

// newInterestListCommand: people get three lines a rule, programs all of it.
func newInterestListCommand() *cobra.Command {
	var f format
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the rules that are asked",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadReaderConfig(cmd)
			if err != nil {
				return err
			}
			r, err := loadRules(cfg, nil, anybodyMayWrite)
			if err != nil {
				return err
			}
			return printRules(cmd.OutOrStdout(), r.set.Rules(), f.json)
		},
	}
	addConfigFlags(cmd, append(interestKeys(), "dir")...)
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON Lines")
	return cmd
}

// ruleLine is a rule as JSON.
type ruleLine struct {
	V        int    `json:"v"`
	ID       string `json:"id"`
	Title    string `json:"title"`
	Severity string `json:"severity"`
	Reason   string `json:"reason"`
	Source   string `json:"source,omitempty"`
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	About    string `json:"about"`
	Needs    string `json:"needs,omitempty"`
}

// printRules prints rules; their texts come from files of others.
func printRules(w io.Writer, all []interest.Rule, asJSON bool) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, r := range all {
		if asJSON {
			line := ruleLine{render.SchemaVersion, r.ID, r.Title, r.Severity.String(), r.Reason, r.Source, r.File, r.Line, r.About, r.Needs}
			if err := enc.Encode(line); err != nil {
				return err
			}
			continue
		}
		from := r.Source
		if r.File != "" {
			from = fmt.Sprintf("%s:%d", r.File, r.Line)
		}
		fmt.Fprintf(&b, "%-8s  %s: %s\n", r.Severity, render.Safe(r.ID), render.Safe(r.Title))
		fmt.Fprintf(&b, "          about: %s\n", shortened(render.Safe(r.About)))
		if from != "" {
			fmt.Fprintf(&b, "          from: %s\n", render.Safe(from))
		}
		if r.Needs != "" {
			fmt.Fprintf(&b, "          finds nothing: it needs %s\n", r.Needs)
		}
	}
	return writeAll(w, b.Bytes())
}

// shortened keeps a long condition to a few lines of a terminal; --json has all
// of it.
func shortened(s string) string {
	const most = 300
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + " ..."
	}
	return s
}

func newInterestTestCommand() *cobra.Command {
	var f format
	cmd := &cobra.Command{
		Use:   "test [FILTER ...]",
		Short: "Count what each rule finds in the record",
		Long: `Count how many events of the record each rule is about, of those that FILTER asks
for, most first, with the last one: a rule that finds too much, or nothing, is
seen before anybody is alerted by it.`,
		Example: `  portreporter interest test since:7d
  portreporter interest test --interest-rules draft.toml since:yesterday`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadReaderConfig(cmd)
			if err != nil {
				return err
			}
			x, err := parseFilter("interest test", args)
			if err != nil {
				return err
			}
			return testRules(cmd.Context(), cfg, x, f.json, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addConfigFlags(cmd, append(interestKeys(), "dir", "control.path")...)
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON Lines")
	return cmd
}

// tried is what a rule found.
type tried struct {
	V        int       `json:"v"`
	Rule     string    `json:"rule"`
	Severity string    `json:"severity"`
	Events   uint64    `json:"events"`
	Last     time.Time `json:"last,omitzero"`
	Needs    string    `json:"needs,omitempty"`
}

// testRules counts in one pass over the record, in the memory of a few numbers a
// rule.
func testRules(ctx context.Context, cfg Config, x *filter.Expr, asJSON bool, out, stderr io.Writer) error {
	r, err := openRecord(cfg)
	if err != nil {
		return fmt.Errorf("interest test: %w", err)
	}
	f, loaded, err := newFindings(ctx, "interest test", cfg, activity.SeverityInfo, stderr)
	if err != nil {
		return err
	}
	f.over(r, loaded.set, x)
	counts := map[string]*tried{}
	var rows []*tried
	for _, rule := range loaded.set.Rules() {
		t := &tried{V: render.SchemaVersion, Rule: rule.ID, Severity: rule.Severity.String(), Needs: rule.Needs}
		counts[rule.ID], rows = t, append(rows, t)
	}
	q, unreadable := query(x), 0
	for e, err := range readable("interest test", r.Events(ctx, q), &unreadable, stderr) {
		if err != nil {
			return err
		}
		for _, x := range f.of(e) {
			if t := counts[x.Rule]; t != nil { // not one that the recorder had then, and that is gone
				t.Events, t.Last = t.Events+1, e.When()
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b *tried) int { return int(min(b.Events, 1<<40)) - int(min(a.Events, 1<<40)) })
	if err := printTried(out, rows, asJSON); err != nil {
		return err
	}
	return tellGaps(ctx, "interest test", cfg, r, q.From, q.To, unreadable, false, stderr)
}

func printTried(w io.Writer, rows []*tried, asJSON bool) error {
	var b bytes.Buffer
	if !asJSON {
		fmt.Fprintf(&b, "%9s  %-8s  %-19s  %s\n", "EVENTS", "SEVERITY", "LAST", "RULE")
	}
	for _, t := range rows {
		if asJSON {
			line, err := json.Marshal(t)
			if err != nil {
				return err
			}
			b.Write(append(line, '\n'))
			continue
		}
		last, note := "-", ""
		if !t.Last.IsZero() {
			last = stamp(t.Last.UnixNano())
		}
		if t.Needs != "" {
			note = "  (needs " + t.Needs + ")"
		}
		fmt.Fprintf(&b, "%9d  %-8s  %-19s  %s%s\n", t.Events, t.Severity, last, render.Safe(t.Rule), note)
	}
	return writeAll(w, b.Bytes())
}

func newInterestLearnCommand() *cobra.Command {
	var since string
	cmd := &cobra.Command{
		Use:   "learn [FILTER ...]",
		Short: "Learn from the record what programs usually do",
		Long: `Learn from the record on which ports each program listens and where it calls,
and write that as the baseline that the conditions new-listener, new-destination
and widened compare with. FILTER leaves out what is not usual: -user:mallory.

A program is known by its executable. One that listens on more than 64 ports, or
calls more than 256 places, has no habits to depart from. A running recorder
takes a new baseline within a minute or two.`,
		Example: `  portreporter interest learn
  portreporter interest learn --since 30d -process:nmap`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadReaderConfig(cmd)
			if err != nil {
				return err
			}
			x, err := parseFilter("interest learn", args)
			if err != nil {
				return err
			}
			from, err := pastMoment("interest learn: --since", since)
			if err != nil {
				return err
			}
			return learn(cmd.Context(), cfg, x, from, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addConfigFlags(cmd, "dir", "control.path", "interest.baseline")
	cmd.Flags().StringVar(&since, "since", "7d", "learn from the record since `TIME`, up to now")
	return cmd
}

// learn reads what is needed of the record and replaces the baseline.
func learn(ctx context.Context, cfg Config, x *filter.Expr, from int64, out, stderr io.Writer) error {
	r, err := openRecord(cfg)
	if err != nil {
		return fmt.Errorf("interest learn: %w", err)
	}
	q := query(x)
	if q.From, q.To = max(q.From, from), time.Now().UnixNano(); x != nil && x.Hints().To != 0 {
		q.To = x.Hints().To
	}
	if kinds := learntKinds(); q.Kinds == 0 {
		q.Kinds = kinds
	} else if q.Kinds &= kinds; q.Kinds == 0 {
		return usagef("interest learn: events of those kinds say nothing about listeners or destinations")
	}
	base, unreadable, events := interest.NewBaseline(q.From, q.To), 0, 0
	for e, err := range readable("interest learn", r.Events(ctx, q), &unreadable, stderr) {
		if err != nil {
			return err
		}
		base.Learn(e)
		events++
	}
	if events == 0 {
		return fmt.Errorf("interest learn: nothing is on record from %s to %s", stamp(q.From), stamp(q.To))
	}
	path, _ := baselinePath(cfg)
	if err := replaceFile(path, base.Encode()); err != nil {
		return fmt.Errorf("interest learn: %w", err)
	}
	fmt.Fprintf(out, "learnt what %s did from %s to %s, from %s: %s\n", count(base.Programs(), "program"), stamp(q.From), stamp(q.To), count(events, "event"), path)
	return tellGaps(ctx, "interest learn", cfg, r, q.From, q.To, unreadable, false, stderr)
}

// learntKinds are the kinds that a baseline learns from.
func learntKinds() filter.KindSet {
	return 1<<activity.KindListen | 1<<activity.KindBind | 1<<activity.KindSnapshot | 1<<activity.KindConnect | 1<<activity.KindConnectFailed | 1<<activity.KindFlow
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it has its name
	_, err = f.Write(data)
	if err == nil {
		err = errors.Join(f.Chmod(0o640), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
