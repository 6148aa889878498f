//go:build !unix

package notify

// NewJournald returns an error: this system has no journald.
func NewJournald() (Sink, error) { return nil, errNoJournald }
