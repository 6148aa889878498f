// Command portreporter is the flight recorder of a machine's TCP and UDP
// ports: it records who opened, used and closed each of them, and answers
// questions about any past moment.
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
	code := cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
