package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/journal"
)

func newVerifyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that the record is whole: nothing missing, changed or cut short",
		Long: `Walk the chain of hashes over the record and compare it with what is there. What
is missing, changed or cut short is named, and the exit code is 1.

The last line's hash, kept elsewhere, proves later that nothing was cut off the
end of the chain.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadReaderConfig(cmd)
			if err != nil {
				return err
			}
			rep, err := journal.Verify(cmd.Context(), cfg.Dir)
			if err != nil {
				return fmt.Errorf("verify: %w%s", err, hintDir(cfg, err))
			}
			if err := printVerification(cmd.OutOrStdout(), rep, asJSON); err != nil {
				return err
			}
			if n := len(rep.Problems); n > 0 {
				return fmt.Errorf("verify: the record has %d problems", n)
			}
			return nil
		},
	}
	addConfigFlags(cmd, "dir")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printVerification(w io.Writer, rep *journal.Report, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(rep)
	}
	var b []byte
	for _, p := range rep.Problems {
		b = fmt.Appendf(b, "PROBLEM  %s\n", oneLine(p.String()))
	}
	b = fmt.Appendf(b, "%d events in %d sealed segments and %d live logs; %d removed by retention\n", rep.Events, rep.Segments, rep.Live, rep.Removed)
	if len(rep.Problems) == 0 {
		b = append(b, "the record is whole\n"...)
	}
	b = fmt.Appendf(b, "chain of %d records, head %s\n", rep.Records, rep.Head)
	return writeAll(w, b)
}

// stamp writes an instant for people, in this machine's zone.
func stamp(ns int64) string {
	if ns == 0 {
		return "the beginning"
	}
	return time.Unix(0, ns).Format("2006-01-02 15:04:05")
}
