package ssdp

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
)

// request searches for root devices, so that each answers once (UPnP Device
// Architecture 2.0 section 1.3.2). The host stays the group's, which devices
// check, though it is sent to one of them.
func request() []byte {
	return []byte("M-SEARCH * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\nMan: \"ssdp:discover\"\r\nMX: 1\r\nST: upnp:rootdevice\r\n\r\n")
}

// device is what an answer tells.
type device struct{ server, location, target, name string }

// parse reads an answer.
func parse(b []byte) (device, error) {
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil {
		return device{}, err
	}
	r.Body.Close()
	d := device{r.Header.Get("Server"), r.Header.Get("Location"), r.Header.Get("St"), r.Header.Get("Usn")}
	if r.StatusCode != http.StatusOK || d.target == "" && d.name == "" {
		return device{}, errors.New("no answer to a search")
	}
	return d, nil
}
