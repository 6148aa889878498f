package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

func newCompletionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the completion script for a shell",
		Long: `Print the completion script for a shell. The packages install them; by hand, for
this shell only:

  bash:        source <(portreporter completion bash)
  zsh:         source <(portreporter completion zsh)
  fish:        portreporter completion fish | source
  PowerShell:  portreporter completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return writeCompletion(cmd.OutOrStdout(), cmd.Root(), args[0])
		},
	}
}

func writeCompletion(w io.Writer, root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	default:
		return root.GenPowerShellCompletionWithDesc(w)
	}
}

// completeArguments lets the shell complete the terms of filters, and the times
// and directories that commands take.
func completeArguments(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		if strings.Contains(cmd.Use, "FILTER") && cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = completeTerm
		}
		for _, name := range []string{"at", "since"} {
			if cmd.Flags().Lookup(name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(name, completeTime) // fails for a flag that is not there
			}
		}
		if cmd.Flags().Lookup("dir") != nil {
			_ = cmd.MarkFlagDirname("dir")
		}
	}
}

// completeTerm completes one term of a filter: the name of a field, one of the
// words that it takes, or a word that needs no field.
func completeTerm(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	term := strings.TrimLeft(typed, "!(")
	before := typed[:len(typed)-len(term)]
	if end := strings.IndexAny(term, ":=<>!"); end >= 0 {
		return completeValue(before, term, end), cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, f := range filter.Fields() {
		if strings.HasPrefix(f.Name, strings.ToLower(term)) {
			words = append(words, before+f.Name+":\t"+f.Help)
		}
	}
	if len(words) > 0 {
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	for _, k := range activity.Kinds() {
		if strings.HasPrefix(k, strings.ToLower(term)) {
			words = append(words, before+k)
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completeValue completes what stands behind a field and its relation, after
// the last comma.
func completeValue(before, term string, end int) (words []string) {
	value := strings.TrimLeft(term[end:], ":=<>!")
	from := len(term) - len(value) + strings.LastIndexByte(value, ',') + 1
	for _, f := range filter.Fields() {
		if !named(f, term[:end]) {
			continue
		}
		values := f.Values
		if f.Type == "time" {
			values = timeWords()
		}
		for _, v := range values {
			if strings.HasPrefix(v, strings.ToLower(term[from:])) {
				words = append(words, before+term[:from]+v)
			}
		}
	}
	return words
}

func named(f filter.Field, name string) bool {
	for _, n := range append(f.Aliases, f.Name) {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// timeWords are times as they are typed; the others show what can be.
func timeWords() []string { return []string{"today", "yesterday", "1h", "24h", "7d"} }

func completeTime(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	var words []string
	for _, w := range timeWords() {
		if strings.HasPrefix(w, typed) {
			words = append(words, w)
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completeMoments completes the arguments of diff: two times or directories,
// then a filter.
func completeMoments(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if cmd.Flags().Changed("since") || len(args) >= 2 {
		return completeTerm(cmd, args, typed)
	}
	if strings.HasPrefix(typed, "/") || strings.HasPrefix(typed, ".") {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	words, directive := completeTime(cmd, args, typed)
	if len(words) == 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return words, directive
}
