package cli

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// parseFilter parses the words of a command line as one filter; nil when there
// are none.
func parseFilter(command string, args []string) (*filter.Expr, error) {
	return parseRecordFilter(command, args, nil)
}

// parseRecordFilter is parseFilter for a record whose module sets can be had.
func parseRecordFilter(command string, args []string, modules func(activity.ModuleSetID) *activity.ModuleSet) (*filter.Expr, error) {
	if len(args) == 0 {
		return nil, nil
	}
	opt := filter.Options{Now: time.Now(), Location: time.Local, Services: servicePort, Modules: modules}
	x, err := filter.Parse(strings.Join(args, " "), opt)
	if err != nil {
		return nil, usagef("%s: %w", command, err)
	}
	return x, nil
}

// parseAsked is parseRecordFilter for the record that a command is asked of.
func parseAsked(command string, args []string, cfg Config) (*filter.Expr, error) {
	return parseRecordFilter(command, args, recordModules(cfg.Dir))
}

// negatedTerms gives the command line with each "-unit:ssh.service" of a filter
// written "!unit:ssh.service", which means the same and is not taken for flags
// by pflag. Only words that begin with the name of a field are, so that a flag
// that is wrong is still told as one. The result is never nil.
func negatedTerms(root *cobra.Command, args []string) []string {
	out := append([]string{}, args...)
	cmd, _, err := root.Find(args)
	if err != nil || !strings.Contains(cmd.Use, "FILTER") {
		return out
	}
	names := fieldNames()
	for i, a := range out {
		if a == "--" {
			break
		}
		if term, ok := strings.CutPrefix(a, "-"); ok && isTerm(term, names) {
			out[i] = "!" + term
		}
	}
	return out
}

// isTerm reports whether s begins as a filter does: with a field and its
// relation, or with a parenthesis.
func isTerm(s string, names []string) bool {
	if strings.HasPrefix(s, "(") {
		return true
	}
	end := strings.IndexAny(s, ":=<>!")
	return end > 1 && slices.Contains(names, strings.ToLower(s[:end]))
}

func fieldNames() (names []string) {
	for _, f := range filter.Fields() {
		names = append(append(names, f.Name), f.Aliases...)
	}
	return names
}
