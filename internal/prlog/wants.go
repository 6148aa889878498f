package prlog

import "github.com/portreporter/portreporter/internal/activity"

// Wants reports whether Event writes an entry for e, so that others need not be
// queued for it. It may be called from any goroutine.
func (w *Writer) Wants(e *activity.Event) bool { return w.wants(e) }
