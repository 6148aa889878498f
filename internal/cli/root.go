package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commands lists every command, in the order of the help text. A new command
// is one file with its constructor, and one line here.
func commands() []*cobra.Command {
	return []*cobra.Command{
		newRecordCommand(),
		newListCommand(),
		newEventsCommand(),
		newWhoCommand(),
		newReportCommand(),
		newDiffCommand(),
		newImportCommand(),
		newExportCommand(),
		newDoctorCommand(),
		newQueryCommand(),
		newInterestCommand(),
		newVerifyCommand(),
		newServiceCommand(),
		newVersionCommand(),
		newCompletionCommand(),
		newManCommand(),
	}
}

// Run carries out the command line args (without the program's name) and gives
// the exit code. Results go to stdout, everything else to stderr; an error is
// one line there, "portreporter: operation: cause". ctx ends long-running
// commands in good order.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	args = negatedTerms(root, args)
	root.SetArgs(args)
	err := unknownCommand(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if errors.Is(err, context.Canceled) {
		// Commands that run until told to stop give nil; this one was cut short.
		err = errors.New("interrupted")
	}
	if err != nil {
		fmt.Fprintln(stderr, "portreporter: "+oneLine(err.Error()))
	}
	return exitCode(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "portreporter",
		Short: "The flight recorder of this machine's TCP and UDP ports",
		Long: `Port Reporter records every port event of this machine (a port listened on,
bound, connected, accepted, refused, closed) together with who: process, command
line, user, service, container and loaded modules; and answers questions about
any past moment.`,
		SilenceErrors: true, // Run prints them
		SilenceUsage:  true, // an error is one line, never the whole help
	}
	root.CompletionOptions.DisableDefaultCmd = true // ours is documented
	root.SetFlagErrorFunc(flagError)
	root.SetUsageTemplate(root.UsageTemplate() + "\n" + exitCodesHelp + "\n")
	root.AddCommand(commands()...)
	wrapArgs(root)
	completeArguments(root)
	root.SetHelpCommand(newHelpCommand())
	return root
}

// newHelpCommand replaces cobra's, which takes any word and exits 0.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Print the help text of a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err != nil || of.HasSubCommands() && len(rest) > 0 {
				return unknownCommand(cmd.Root(), args)
			}
			return of.Help()
		},
	}
}

// wrapArgs makes usage errors of what the commands' argument checks find.
// Commands that state no check take no argument.
func wrapArgs(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		check := c.Args
		if check == nil {
			check = cobra.NoArgs
		}
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return argsError(cmd, args)
			}
			return nil
		}
		wrapArgs(c)
	}
}

// argsError says what the command takes; cobra's own words for "no argument
// expected" are "unknown command".
func argsError(cmd *cobra.Command, args []string) error {
	if cobra.NoArgs(cmd, args) != nil && !strings.ContainsAny(cmd.Use, " ") {
		return usagef("%sunexpected argument %q: it takes none", prefix(cmd), args[0])
	}
	if len(args) == 0 {
		return usagef("%san argument is missing: usage: %s", prefix(cmd), cmd.UseLine())
	}
	if words := cmd.ValidArgs; len(args) == 1 && len(words) > 0 {
		return usagef("%sunknown argument %q: one of %s%s", prefix(cmd), args[0],
			strings.Join(words, ", "), didYouMean(args[0], "", words))
	}
	return usagef("%swrong arguments %q: usage: %s", prefix(cmd), args, cmd.UseLine())
}

// unknownCommand finds a command word that is not ours before cobra does: cobra
// would complain of the flags behind it first, and takes any word after a
// command group.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) > 0 && strings.HasPrefix(args[0], "__complete") {
		return nil // the shells' completion requests: cobra's own
	}
	cmd, rest, _ := root.Find(args) // its error is the one made here
	if !cmd.HasSubCommands() {
		return nil
	}
	i := slices.IndexFunc(rest, func(a string) bool { return !strings.HasPrefix(a, "-") })
	if i < 0 || rest[i] == "help" && cmd == root {
		return nil
	}
	var words []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			words = append(words, c.Name())
		}
	}
	hint := didYouMean(rest[i], "", words)
	if hint == "" {
		hint = fmt.Sprintf("; see %q", cmd.CommandPath()+" --help")
	}
	return usagef("%sunknown command %q%s", prefix(cmd), rest[i], hint)
}

// flagError puts pflag's errors in our words, with the nearest flag.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		name := unknown.GetSpecifiedName()
		return usagef("%sunknown flag %q%s", prefix(cmd), "--"+name, didYouMean(name, "--", flagNames(cmd)))
	case errors.As(err, &unknown):
		return usagef("%sunknown flag %q", prefix(cmd), "-"+unknown.GetSpecifiedName())
	case errors.As(err, &invalid):
		return usagef("%s--%s: %w", prefix(cmd), invalid.GetFlag().Name, invalid.Unwrap())
	case errors.As(err, &missing):
		return usagef("%s--%s needs a value", prefix(cmd), missing.GetSpecifiedName())
	default:
		return usagef("%s%w", prefix(cmd), err)
	}
}

// prefix begins an error about cmd, so that a script with many calls shows
// which one is wrong: "service install: ". The program's name is Run's to add.
func prefix(cmd *cobra.Command) string {
	_, words, _ := strings.Cut(cmd.CommandPath(), " ")
	if words == "" {
		return ""
	}
	return words + ": "
}

func flagNames(cmd *cobra.Command) (names []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}

// oneLine keeps an error on its line and the terminal safe: a cause may quote
// what came from outside.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
