package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is what `version --json` prints; names are stable.
type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"` // absent: built outside a checkout
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// released is the version that scripts/build links in with -X; other builds
// tell what the Go tool knows of them.
var released string

func newVersionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it was built from",
		RunE: func(cmd *cobra.Command, _ []string) error {
			build, _ := debug.ReadBuildInfo()
			return printVersion(cmd.OutOrStdout(), versionOf(released, build), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// versionOf joins the linked version with what the Go tool wrote into the
// binary; build may be nil.
func versionOf(released string, build *debug.BuildInfo) versionInfo {
	v := versionInfo{Version: released, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if build != nil {
		for _, s := range build.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
		if v.Version == "" && build.Main.Version != "(devel)" {
			v.Version = build.Main.Version
		}
	}
	if v.Version == "" {
		v.Version = "devel"
	}
	return v
}

func printVersion(w io.Writer, v versionInfo, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(v)
	}
	built := ""
	if v.Commit != "" {
		built = " commit " + v.Commit[:min(12, len(v.Commit))]
		if v.Modified {
			built += " (modified)"
		}
	}
	_, err := fmt.Fprintf(w, "portreporter %s%s %s %s/%s\n", v.Version, built, v.Go, v.OS, v.Arch)
	return err
}

// buildVersion is the version in one word.
func buildVersion() string {
	build, _ := debug.ReadBuildInfo()
	return versionOf(released, build).Version
}
