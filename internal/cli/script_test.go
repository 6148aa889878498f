package cli

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the tests compare with")

// TestMain lets the scripts call the program by its name: this test binary
// then acts as portreporter.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"portreporter": func() {
			os.Exit(Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// TestScript runs the manual. With -update, golden files in the scripts are
// rewritten to what the commands print.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(cond string) (bool, error) {
			if cond != "systemd" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			_, err := os.Lstat("/run/systemd/system")
			return err == nil, nil
		},
		Setup: func(env *testscript.Env) error {
			// Nothing of the machine's own configuration reaches a script.
			env.Setenv("HOME", env.WorkDir)
			for _, s := range settings() {
				env.Setenv(s.env(), "")
			}
			return nil
		},
	})
}
