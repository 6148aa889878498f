//go:build !linux && !windows

package svc

import "context"

func run(ctx context.Context, work func(context.Context, *Notifier) error) error {
	return work(ctx, &Notifier{})
}
