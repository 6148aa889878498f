package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/portreporter/portreporter/internal/render"
)

// newManCommand is for whoever makes packages, hence hidden.
func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages into DIR",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			date, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
			if err != nil {
				return usagef("man: SOURCE_DATE_EPOCH: %w", err)
			}
			if err := writeMan(cmd.Root(), args[0], date); err != nil {
				return fmt.Errorf("man: %w", err)
			}
			return nil
		},
	}
}

// sourceDate reads SOURCE_DATE_EPOCH, seconds since 1970
// (reproducible-builds.org/specs/source-date-epoch). Without it the pages bear
// a fixed date, so that two runs always write the same bytes.
func sourceDate(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	sec, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a number of seconds", epoch)
	}
	return time.Unix(sec, 0).UTC(), nil
}

func writeMan(root *cobra.Command, dir string, date time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true
	addExitCodes(root)
	header := doc.GenManHeader{Section: "1", Date: &date, Source: "Port Reporter", Manual: "Port Reporter manual"}
	if err := doc.GenManTree(root, &header, dir); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "portqry.1"))
	if err != nil {
		return err
	}
	header.Title = "PORTQRY"
	return errors.Join(doc.GenMan(portqryManual(), &header, f), f.Close())
}

// portqryManual is what there is to say of portqry, which is no command of ours
// and takes its options in its own way.
func portqryManual() *cobra.Command {
	return &cobra.Command{
		Use:               "portqry",
		Short:             "Test TCP and UDP ports, and say what answers",
		Long:              "```\n" + string(render.AppendPortQryHelp(nil, portqryHelp())) + "```",
		DisableAutoGenTag: true,
		Run:               func(*cobra.Command, []string) {}, // or it would not be shown
	}
}

// addExitCodes ends each description with them, as the help text does.
func addExitCodes(cmd *cobra.Command) {
	if cmd.Long == "" {
		cmd.Long = cmd.Short + "."
	}
	cmd.Long += "\n\n" + exitCodesHelp
	for _, c := range cmd.Commands() {
		addExitCodes(c)
	}
}
