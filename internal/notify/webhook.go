package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// The patience of a webhook: each try, and the pauses between them.
const (
	webhookPatience = 10 * time.Second
	webhookTries    = 3
)

type webhook struct {
	url    string
	client *http.Client
	pause  func(ctx context.Context, try int) error // waits before the next try
}

// NewWebhook returns a sink that POSTs each alert's JSON to an http or https
// URL. What the server does not take for a reason that may pass is tried three
// times in all. Redirections are not followed: the alert was not meant for
// anybody else.
func NewWebhook(target string) (Sink, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("webhook: want http://HOST/PATH or https://HOST/PATH") // the URL may hold a secret
	}
	c := &http.Client{Timeout: webhookPatience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &webhook{url: target, client: c, pause: pause}, nil
}

// pause waits 1 s, then 2 s ...
func pause(ctx context.Context, try int) error {
	t := time.NewTimer(time.Duration(try) * time.Second)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *webhook) Send(ctx context.Context, a *Alert) (err error) {
	for try := 1; ; try++ {
		again := false
		if again, err = w.post(ctx, a); err == nil {
			return nil
		}
		if !again || try == webhookTries || w.pause(ctx, try) != nil {
			return fmt.Errorf("webhook: %w", err)
		}
	}
}

// post makes one try; again says whether another may help.
func (w *webhook) post(ctx context.Context, a *Alert) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(a.JSON))
	if err != nil {
		return false, errors.New("the URL is not usable")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "portreporter")
	res, err := w.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL, which may hold a secret
		}
		return true, err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be used again
	if res.StatusCode/100 != 2 {
		return res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests, fmt.Errorf("the server answered %s", res.Status)
	}
	return false, nil
}

func (w *webhook) Close() error {
	w.client.CloseIdleConnections()
	return nil
}
