package main

import (
	"context"
	"time"

	"github.com/portreporter/portreporter/internal/journal"
)

// keeper seals beside the writing. Merging waits for the end, so that the same
// events make the same segments.
type keeper struct {
	w    *journal.Writer
	quit chan struct{}
	done chan error
}

func (k *keeper) start(ctx context.Context) {
	k.quit, k.done = make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-k.quit:
				k.done <- nil
				return
			case <-time.After(time.Millisecond):
			}
			if err := k.seal(ctx); err != nil {
				k.done <- err
				return
			}
		}
	}()
}

func (k *keeper) seal(ctx context.Context) error {
	for k.w.Sealable() {
		if err := k.w.Seal(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pace returns an error of the work beside. Live logs that wait take no memory,
// so that writing needs not wait for it.
func (k *keeper) pace() error {
	select {
	case err := <-k.done:
		k.done <- err
		return err
	default:
		return nil
	}
}

// finish does what is left to do.
func (k *keeper) finish(ctx context.Context) error {
	close(k.quit)
	if err := <-k.done; err != nil {
		return err
	}
	if err := k.seal(ctx); err != nil {
		return err
	}
	for more := true; more; {
		var err error
		if more, err = k.w.Merge(ctx); err != nil {
			return err
		}
	}
	return nil
}
