package cli

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the tests compare with")

// TestMain lets the scripts call the programs by their names: this test binary
// then acts as one of them.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"portreporter": func() { // as cmd/portreporter does
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			code := Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
			stop()
			os.Exit(code)
		},
		"portqry": func() { // as cmd/portqry does
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			code := RunPortQry(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
			stop()
			os.Exit(code)
		},
		"story": runStory,
		"week":  runWeek,
		"webshop": func() {
			if err := webshop(os.Args[1:], os.Stdin, os.Stdout); err != nil {
				fmt.Fprintln(os.Stderr, "webshop:", err)
				os.Exit(1)
			}
			os.Exit(0)
		},
	})
}

// TestScript runs the part of the manual that works anywhere. With -update,
// golden files in the scripts are rewritten to what the commands print.
func TestScript(t *testing.T) {
	p := scriptParams()
	p.Dir = "testdata/script"
	testscript.Run(t, p)
}

func scriptParams() testscript.Params {
	return testscript.Params{
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
			env.Setenv("TZ", "UTC")
			return nil
		},
	}
}
