// Package http asks web servers, by HTTP/1.1, plain or inside TLS (where it tells
// whether they speak HTTP/2 too), and recognises services that speak it: Elasticsearch, etcd, Docker,
// Kubernetes, WinRM.
package http

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/secure"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

const (
	maxAnswer  = 48 << 10 // header and body
	maxBody    = 16 << 10
	maxInterim = 5 // answers before the answer
)

// Prober asks for one page, and follows nothing: no redirect, no proxy. New and
// Services make those that there are.
type Prober struct{ service *service }

// New makes the prober of web servers, which asks for "/".
func New() Prober {
	return Prober{&service{protocol: "http", path: "/", ports: webPorts(), read: page}}
}

func webPorts() []probe.Port {
	return []probe.Port{
		{Proto: probe.TCP, Port: 80, Name: "http"},
		{Proto: probe.TCP, Port: 443, Name: "https"},
		{Proto: probe.TCP, Port: 8080, Name: "http-alt"},
		{Proto: probe.TCP, Port: 8443, Name: "https-alt"},
		{Proto: probe.TCP, Port: 8000, Name: "http"},
		{Proto: probe.TCP, Port: 8008, Name: "http-alt"},
		{Proto: probe.TCP, Port: 8888, Name: "http"},
		{Proto: probe.TCP, Port: 3128, Name: "squid-http"},
		{Proto: probe.TCP, Port: 9090, Name: "http"}, // and not 9100: a printer there prints what it is sent
	}
}

// Protocol is "http", or the service that it looks for.
func (p Prober) Protocol() string { return p.service.protocol }

// Carrier is "http" for the services that speak it: where it does not answer,
// they need not be asked.
func (p Prober) Carrier() string {
	if p.service.protocol == "http" {
		return ""
	}
	return "http"
}

// Ports are where such servers usually are.
func (p Prober) Ports() []probe.Port { return p.service.ports }

// Ask sends one request, first in the manner that the port's name or number
// suggests. A peer that answers plain text with TLS, or the other way round, is
// asked again in the other manner.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	secured := p.secured(t)
	r, err := p.get(ctx, d, t, secured)
	if r.wrongManner(secured, err) {
		if again, err2 := p.get(ctx, d, t, !secured); err2 == nil {
			r, err = again, nil
		}
	}
	if err != nil {
		return talk.Fail(p.Protocol(), r.seen, err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Raw: talk.Head(r.raw())}
	if a.Summary, err = p.service.read(r, a); err != nil {
		return talk.Fail(p.Protocol(), r.raw(), err)
	}
	if r.TLS != nil {
		a.Summary += ", " + secure.Describe(a, *r.TLS, t, time.Now())
	}
	return a, nil
}

// secured tells whether a port suggests TLS.
func (p Prober) secured(t probe.Target) bool {
	if strings.HasPrefix(t.Service, "https") {
		return true
	}
	switch t.Port {
	case 443, 2376, 5986, 6443, 8443, 9443, 10250, 10257, 10259:
		return true
	}
	return false
}

// response is what one request brought.
type response struct {
	*http.Response
	body []byte // at most maxBody, that of an error too
	seen []byte // first bytes of the connection, before TLS takes it apart
}

// wrongManner: TLS asked and the peer spoke plainly, or the other way round.
// Servers tell a plain request to a TLS port by a 400 of their own wording, by
// an alert, or by closing.
func (r *response) wrongManner(secured bool, err error) bool {
	if secured {
		return err != nil && !secure.Spoken(r.seen) && strings.HasPrefix(string(r.seen), "HTTP/")
	}
	return secure.Spoken(r.seen) ||
		err == nil && r.StatusCode == http.StatusBadRequest && strings.Contains(strings.ToUpper(string(r.body)), "HTTPS") ||
		errors.Is(err, io.EOF) && len(r.seen) == 0
}

// raw is the answer as text, its header rebuilt where TLS hid it.
func (r *response) raw() []byte {
	if r.Response == nil || r.TLS == nil && len(r.seen) > 0 {
		return r.seen
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\r\n", r.Proto, r.Status)
	_ = r.Header.Write(&b) // to memory: it cannot fail
	b.WriteString("\r\n")
	b.Write(r.body)
	return []byte(b.String())
}

// get makes the request. The response is never nil, and holds what was seen
// when it failed. HTTP/2 is offered, so that the certificate's connection tells
// whether the server speaks it, but spoken is HTTP/1.1, in a second one: the
// standard library's HTTP/2 logs what a hostile peer sends.
func (p Prober) get(ctx context.Context, d probe.Dialer, t probe.Target, secured bool) (*response, error) {
	r, err := p.once(ctx, d, t, secured, "h2", "http/1.1")
	if err != nil || r.TLS == nil || r.TLS.NegotiatedProtocol != "h2" {
		return r, err
	}
	plain, err := p.once(ctx, d, t, secured, "http/1.1")
	if err != nil {
		return r, nil // it speaks HTTP/2 alone
	}
	plain.TLS = r.TLS
	return plain, nil
}

// once makes the request over a connection of its own, or none when the server
// picks HTTP/2.
func (p Prober) once(ctx context.Context, d probe.Dialer, t probe.Target, secured bool, alpn ...string) (r *response, err error) {
	r = &response{}
	c, err := talk.Open(ctx, d)
	if err != nil {
		return r, err
	}
	defer c.Close()
	defer func() { r.seen = c.Seen() }()
	if !secured {
		return r, p.exchange(ctx, c, t, secured, r)
	}
	s, err := secure.Client(ctx, c, t, alpn...)
	if err != nil {
		return r, err
	}
	cs := s.ConnectionState()
	if cs.NegotiatedProtocol == "h2" {
		r.Response = &http.Response{Proto: "HTTP/2.0", TLS: &cs}
		return r, nil
	}
	if err := p.exchange(ctx, s, t, secured, r); err != nil {
		return r, err
	}
	r.TLS = &cs
	return r, nil
}

// exchange sends the request and reads its answer, of bounded size.
func (p Prober) exchange(ctx context.Context, c net.Conn, t probe.Target, secured bool, r *response) error {
	req, err := p.request(ctx, t, secured)
	if err != nil {
		return err
	}
	if err := req.Write(c); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	b := bufio.NewReader(io.LimitReader(c, maxAnswer))
	for range maxInterim {
		if r.Response, err = http.ReadResponse(b, req); err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if r.StatusCode >= 200 || r.StatusCode == http.StatusSwitchingProtocols {
			break // and not an early hint (RFC 9110 section 15.2)
		}
	}
	defer r.Body.Close()
	// A body that breaks off is as good as its beginning.
	r.body, _ = io.ReadAll(io.LimitReader(r.Body, maxBody))
	return nil
}

func (p Prober) request(ctx context.Context, t probe.Target, secured bool) (*http.Request, error) {
	host := t.Host
	if host == "" {
		host = t.Addr.WithZone("").String() // RFC 6874: a zone is of no meaning to the server
	}
	u := url.URL{Scheme: "http", Host: host, Path: p.service.path}
	usual := uint16(80)
	if secured {
		u.Scheme, usual = "https", 443
	}
	if t.Port != usual || strings.Contains(host, ":") {
		u.Host = net.JoinHostPort(host, strconv.Itoa(int(t.Port)))
	}
	method, body := http.MethodGet, io.Reader(nil)
	if p.service.body != "" {
		method, body = http.MethodPost, strings.NewReader(p.service.body)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	r.Close = true
	r.Header.Set("User-Agent", "portreporter")
	r.Header.Set("Accept", "*/*")
	for name, value := range p.service.header {
		r.Header[name] = []string{value} // not canonical: WinRM's is in capitals
	}
	return r, nil
}
