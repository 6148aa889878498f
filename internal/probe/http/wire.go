package http

import (
	"fmt"
	"html"
	"net/http"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
)

// page reads any answer of a web server: status, the headers that tell what it
// is and where it sends people, and the page's title.
func page(r *response, a *probe.Answer) (string, error) {
	gist := []string{strings.TrimSpace(r.Proto + " " + r.Status)}
	add(a, "version", r.Proto, "status", r.Status)
	for _, h := range []string{"Server", "Location", "WWW-Authenticate", "Content-Type", "X-Powered-By", "Via", "Alt-Svc", "Strict-Transport-Security"} {
		vs := r.Header.Values(h)
		a.Add(strings.ToLower(h), vs...)
		if len(vs) > 0 && (h == "Server" || h == "Location") {
			gist = append(gist, map[string]string{"Server": "", "Location": "to "}[h]+vs[0])
		}
	}
	if s := title(string(r.body)); s != "" {
		a.Add("title", s)
		gist = append(gist, fmt.Sprintf("%q", s))
	}
	return strings.Join(gist, ", "), nil
}

// title finds the title of an HTML page, its white space made single.
func title(body string) string {
	lower := strings.ToLower(body)
	if len(lower) != len(body) {
		return "" // not ASCII where it counts: positions would not match
	}
	i := strings.Index(lower, "<title")
	if i < 0 {
		return ""
	}
	_, text, ok := strings.Cut(body[i:], ">")
	if !ok {
		return ""
	}
	end := strings.Index(strings.ToLower(text), "</title")
	if end < 0 {
		return ""
	}
	return strings.Join(strings.Fields(html.UnescapeString(text[:end])), " ")
}

// denied is a status by which a service hides what it is from strangers.
func denied(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}
