package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/journal"
)

// listAt shows what was open at a moment, and says what is not known of it.
func listAt(ctx context.Context, cfg Config, at string, complete bool, show func([]*activity.Socket, time.Time) error, stderr io.Writer) error {
	when, err := pastMoment("list: --at", at)
	if err != nil {
		return err
	}
	r, err := openRecord(cfg)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	defer boundPast()()
	past := newPast(ctx, "list", cfg, r, stderr)
	state, err := past.stateAt(ctx, when, journal.Query{})
	if err != nil {
		return err
	}
	if err := show(state.Sockets, time.Unix(0, when)); err != nil {
		return quietPipe(err)
	}
	return holes("list", past.holesAt(when), past.unreadable, complete)
}

// pastMoment reads the instant that a user names (UTC ns). what is the argument
// that names it, for errors.
func pastMoment(what, s string) (int64, error) {
	now := time.Now()
	from, _, err := filter.ParseTime(s, filter.Options{Now: now, Location: time.Local})
	switch {
	case err != nil:
		return 0, usagef("%s: %s", what, strings.TrimPrefix(err.Error(), "filter: "))
	case strings.Contains(s, ".."):
		return 0, usagef("%s: %q is an interval: name one moment", what, s)
	case from > now.UnixNano():
		return 0, usagef("%s: %s is in the future", what, stamp(from))
	}
	return from, nil
}
