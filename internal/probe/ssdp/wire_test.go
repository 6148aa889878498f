package ssdp

import (
	"strings"
	"testing"
)

const answer = "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nLOCATION: http://192.0.2.1:5000/root.xml\r\nSERVER: Linux/5.4 UPnP/1.1 Example/2\r\nST: upnp:rootdevice\r\nUSN: uuid:1::upnp:rootdevice\r\n\r\n"

func TestParse(t *testing.T) {
	d, err := parse([]byte(answer))
	if want := (device{"Linux/5.4 UPnP/1.1 Example/2", "http://192.0.2.1:5000/root.xml", "upnp:rootdevice", "uuid:1::upnp:rootdevice"}); d != want || err != nil {
		t.Errorf("%+v, %v", d, err)
	}
	for _, b := range []string{"", "NOTIFY * HTTP/1.1\r\nNT: x\r\n\r\n", strings.Replace(answer, "200 OK", "404 No", 1), "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", answer[:20]} {
		if d, err := parse([]byte(b)); err == nil {
			t.Errorf("%q: %+v", b, d)
		}
	}
	if q := string(request()); !strings.HasSuffix(q, "\r\n\r\n") || strings.Count(q, "\r\n") != 6 {
		t.Errorf("%q", q)
	}
}

// FuzzParse: what is told stands in the answer.
func FuzzParse(f *testing.F) {
	f.Add([]byte(answer))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parse(b)
		if err == nil && len(d.server)+len(d.location)+len(d.target)+len(d.name) > len(b) {
			t.Errorf("%+v", d)
		}
	})
}
