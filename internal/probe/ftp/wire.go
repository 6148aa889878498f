package ftp

import (
	"errors"
	"fmt"

	"github.com/portreporter/portreporter/internal/probe/internal/reply"
)

// Reply codes (RFC 959 section 4.2.2).
const (
	readyLater   = 120
	helpFeatures = 211
	ready        = 220
	loggedIn     = 230
	needPassword = 331
	needAccount  = 332
	unavailable  = 421
	unknown      = 500
	notThere     = 502 // not implemented
	badSequence  = 503
	badParameter = 504
	notLoggedIn  = 530
)

var errNotFTP = errors.New("knows no USER command")

// greets says whether a reply may open a connection.
func greets(r reply.Reply) error {
	switch r.Code {
	case ready, readyLater, unavailable, notLoggedIn: // the last two turn an address away
		return nil
	}
	return fmt.Errorf("greeted with code %d", r.Code)
}

// admits puts the reply to USER in words. SMTP and the like, which greet with
// 220 too, don't know the command.
func admits(code int) (string, error) {
	switch code {
	case loggedIn:
		return "no password asked", nil
	case needPassword, needAccount:
		return "password asked", nil
	case unknown, notThere, badSequence, badParameter:
		return "", errNotFTP
	}
	if code == unavailable || code >= badParameter {
		return "refused", nil
	}
	return "", errNotFTP
}

// featureList is what stands between the first and the last line of 211.
func featureList(r reply.Reply) []string {
	text := r.Text()
	if r.Code != helpFeatures || len(text) < 2 {
		return nil
	}
	return text[1 : len(text)-1]
}
