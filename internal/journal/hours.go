package journal

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/portreporter/portreporter/internal/activity"
)

// Hours counts the events of each hour by protocol and kind: a Rollup a key, in
// the order of these three, whose other parts of the key are zero. Of the
// roll-ups only the columns are read that it takes. from and to (UTC ns; 0 open)
// select whole hours. What cannot be read is joined in the error, beside the
// count of the rest.
func (r *Reader) Hours(ctx context.Context, from, to int64) ([]Rollup, error) {
	for {
		ps, err := r.following(pos{})
		if err != nil {
			return nil, err
		}
		rows, err := r.hours(ctx, ps, summing{from: from, to: to})
		if !errors.Is(err, errGone) {
			return rows, err
		}
	}
}

func (r *Reader) hours(ctx context.Context, ps []piece, within summing) ([]Rollup, error) {
	var all tallies[rollupKey]
	var faults []error
	count := func(_ context.Context, g *groupReader, i int) (some tallies[rollupKey], err error) {
		path := filepath.Join(r.dir, ps[i].name)
		if ps[i].live {
			return some, liveHours(path, &within, &some)
		}
		return some, segmentHours(path, g.src.dec, &within, &some)
	}
	gone := false
	inOrder(ctx, len(ps), count, func(i int, some tallies[rollupKey], err error) bool {
		err = r.fault(ps[i], err)
		if gone = errors.Is(err, errGone); gone || ctx.Err() != nil {
			return false
		}
		if err != nil {
			faults = append(faults, err)
		}
		for k, at := range some.index {
			all.of(k).add(some.list[at])
		}
		return true
	})
	if gone {
		return nil, errGone
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rows := make([]Rollup, 0, len(all.list))
	for k, at := range all.index {
		rows = append(rows, k.row(all.list[at]))
	}
	slices.SortFunc(rows, func(a, b Rollup) int {
		return cmp.Or(cmp.Compare(a.Hour, b.Hour), cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Kind, b.Kind))
	})
	return rows, errors.Join(faults...)
}

// hourKey is a rollupKey of an hour, protocol and kind only.
func hourKey(hour int64, proto activity.Proto, kind activity.Kind) rollupKey {
	return rollupKey{uint64(hour), 0, uint64(proto)<<16 | uint64(kind)<<8}
}

func segmentHours(path string, dec *zstd.Decoder, within *summing, into *tallies[rollupKey]) error {
	t, err := openTable[Rollup](filepath.Join(path, rollupFile), dec)
	if err != nil {
		return err
	}
	defer t.f.Close()
	for i := range t.groups {
		cols, err := t.group(i, 0, 1, 4, 6, 7, 8, 9, 10) // Hour, Proto, Kind, Events, Rx, Tx, First, Last
		if err != nil {
			return err
		}
		protos, err := wordNumbers(cols[1].texts, wordOf(parseProto))
		if err != nil {
			return err
		}
		kinds, err := wordNumbers(cols[2].texts, wordOf(parseKind))
		if err != nil {
			return err
		}
		for row, hour := range cols[0].longs {
			if within.wants(hour) {
				k := hourKey(hour, activity.Proto(protos[cols[1].codes[row]]), activity.Kind(kinds[cols[2].codes[row]]))
				into.of(k).add(tally{uint64(cols[3].longs[row]), uint64(cols[4].longs[row]), uint64(cols[5].longs[row]), cols[6].longs[row], cols[7].longs[row]})
			}
		}
	}
	return nil
}

// wordNumbers are the numbers of a dictionary's words.
func wordNumbers(texts [][]byte, number func(string) (uint8, error)) ([]uint8, error) {
	ns := make([]uint8, len(texts))
	for i, t := range texts {
		var err error
		if ns[i], err = number(string(t)); err != nil {
			return nil, err
		}
	}
	return ns, nil
}

func liveHours(path string, within *summing, into *tallies[rollupKey]) error {
	l, err := readLive(path)
	if err != nil {
		return err
	}
	var e activity.Event
	for i := range l.events {
		if hour := int64(0); l.event(i, &e) == nil {
			if hour = e.Time - mod(e.Time, nsPerHour); within.wants(hour) {
				into.of(hourKey(hour, e.Proto, e.Kind)).add(tally{1, e.Rx, e.Tx, e.Time, e.Time})
			}
		}
	}
	return nil
}
