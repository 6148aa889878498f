package sip

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strconv"
	"strings"
)

const maxMessage = 16 << 10

// request is an OPTIONS (RFC 3261 section 11). It asks for the answer at the
// port that it came from (RFC 3581), so that it need not know our address.
func request(transport, host, callID string) []byte {
	return fmt.Appendf(nil, "OPTIONS sip:%s SIP/2.0\r\n"+
		"Via: SIP/2.0/%s portreporter.invalid;branch=z9hG4bK%s;rport\r\n"+
		"Max-Forwards: 70\r\n"+
		"From: <sip:portreporter@portreporter.invalid>;tag=%.8s\r\n"+
		"To: <sip:%s>\r\n"+
		"Call-ID: %s\r\n"+
		"CSeq: 1 OPTIONS\r\n"+
		"Accept: application/sdp\r\n"+
		"Content-Length: 0\r\n\r\n", host, transport, callID, callID, host, callID)
}

// response is the head of an answer.
type response struct {
	status string // "200 OK"
	header textproto.MIMEHeader
}

// read reads the head of an answer to the request of this Call-ID.
func read(r io.Reader, callID string) (response, error) {
	tr := textproto.NewReader(bufio.NewReader(io.LimitReader(r, maxMessage)))
	line, err := tr.ReadLine()
	if err != nil {
		return response{}, err
	}
	status, ok := strings.CutPrefix(line, "SIP/2.0 ")
	code, _, _ := strings.Cut(status, " ")
	if n, err := strconv.Atoi(code); !ok || err != nil || n < 100 || n > 699 || len(code) != 3 {
		return response{}, errors.New("no answer of SIP")
	}
	header, err := tr.ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		return response{}, err
	}
	p := response{status, header}
	if p.get("Call-Id", "I") != callID {
		return response{}, errors.New("an answer to somebody else")
	}
	return p, nil
}

// get finds a header by its name or by its compact form (section 7.3.3).
func (p response) get(name, compact string) string {
	if v := p.header.Get(name); v != "" {
		return v
	}
	return p.header.Get(compact)
}
