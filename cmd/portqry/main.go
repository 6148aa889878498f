// Command portqry tests TCP and UDP ports, here and elsewhere, and says what
// answers: with the options, the words and the exit codes of Microsoft's
// PortQry 2.0.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/portreporter/portreporter/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.RunPortQry(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
