package cli

import (
	"errors"
	"fmt"
)

// The exit codes of every command; exitCode alone gives them out. Scripts rely
// on them, so a meaning never changes.
const (
	exitDone    = 0 // all that was asked for is done
	exitFailed  = 1 // it could not be done
	exitUsage   = 2 // the command line or the configuration is wrong: nothing was tried
	exitPartial = 3 // done, but some of the data is missing or unreadable
)

// exitCodesHelp ends the help text of every command.
const exitCodesHelp = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 partial (some data missing or unreadable)."

// errPartial is wrapped by the error of a command that gave an answer which is
// not the whole of it; the error says what is missing.
var errPartial = errors.New("the answer is partial")

// usageError is a mistake in the command line or the configuration: the
// user's to mend, and nothing was done.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef makes a usageError; %w works as in fmt.Errorf.
func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

func exitCode(err error) int {
	var usage *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, errPartial):
		return exitPartial
	default:
		return exitFailed
	}
}
