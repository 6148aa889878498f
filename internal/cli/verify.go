package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/render"
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
			if _, err := openRecord(cfg); err != nil {
				return fmt.Errorf("verify: %w", err)
			}
			rep, err := journal.Verify(cmd.Context(), cfg.Dir)
			if err != nil {
				return fmt.Errorf("verify: %w", err)
			}
			if err := printVerification(cmd.OutOrStdout(), rep, asJSON); err != nil {
				return err
			}
			if n := len(rep.Problems); n > 0 {
				return fmt.Errorf("verify: the record has %s", count(n, "problem"))
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
		return e.Encode(verificationOf(rep))
	}
	var b []byte
	for _, p := range rep.Problems {
		b = fmt.Appendf(b, "PROBLEM  %s\n", oneLine(p.String()))
	}
	b = fmt.Appendf(b, "%s in %s and %s; %d removed by retention\n", count(rep.Events, "event"), count(rep.Segments, "sealed segment"),
		count(rep.Live, "live log"), rep.Removed)
	if len(rep.Problems) == 0 {
		b = append(b, "the record is whole\n"...)
	}
	b = fmt.Appendf(b, "chain of %s, head %s\n", count(rep.Records, "record"), rep.Head)
	return writeAll(w, b)
}

// stamp writes an instant for people, in this machine's zone.
func stamp(ns int64) string {
	if ns == 0 {
		return "the beginning"
	}
	return time.Unix(0, ns).Format("2006-01-02 15:04:05")
}

// verification is what `verify --json` prints; names are only ever added.
type verification struct {
	V        int           `json:"v"`
	Whole    bool          `json:"whole"`
	Records  int           `json:"records"`
	Segments int           `json:"segments"`
	Live     int           `json:"live"`
	Events   uint64        `json:"events"`
	Removed  int           `json:"removed"`
	Head     string        `json:"head"`
	Problems []problemJSON `json:"problems,omitempty"`
}

type problemJSON struct {
	Fault  string `json:"fault"`
	Name   string `json:"name"`
	Detail string `json:"detail"`
}

func verificationOf(rep *journal.Report) verification {
	v := verification{V: render.SchemaVersion, Whole: len(rep.Problems) == 0, Records: rep.Records, Segments: rep.Segments, Live: rep.Live,
		Events: rep.Events, Removed: rep.Removed, Head: rep.Head}
	for _, p := range rep.Problems {
		v.Problems = append(v.Problems, problemJSON{string(p.Fault), p.Name, p.Detail})
	}
	return v
}
