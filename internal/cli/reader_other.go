//go:build !unix

package cli

import (
	"context"
	"io"
)

// whileRead is ctx: here a reader that has gone is noticed at the next write.
func whileRead(ctx context.Context, _ io.Writer) (context.Context, func()) { return ctx, func() {} }
