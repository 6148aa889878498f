package nats

import (
	"encoding/json"
	"errors"
	"strings"
)

// info is the JSON of a server's INFO, those members that tell people something.
type info struct {
	Name     string   `json:"server_name"`
	ID       string   `json:"server_id"`
	Version  string   `json:"version"`
	Go       string   `json:"go"`
	Proto    int      `json:"proto"`
	Payload  int      `json:"max_payload"`
	Auth     bool     `json:"auth_required"`
	TLS      bool     `json:"tls_required"`
	Stream   bool     `json:"jetstream"`
	Cluster  string   `json:"cluster"`
	Connect  []string `json:"connect_urls"`
	ClientIP string   `json:"client_ip"`
}

// parse reads the line "INFO {...}".
func parse(line string) (info, error) {
	text, ok := strings.CutPrefix(line, "INFO ")
	if !ok {
		return info{}, errors.New("no INFO")
	}
	var i info
	if err := json.Unmarshal([]byte(text), &i); err != nil {
		return info{}, err
	}
	if i.Version == "" && i.ID == "" {
		return info{}, errors.New("INFO without a server")
	}
	return i, nil
}
