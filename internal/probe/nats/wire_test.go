package nats

import "testing"

func TestParse(t *testing.T) {
	i, err := parse(`INFO {"server_id":"ID","server_name":"hub","version":"2.9.10","proto":1,"auth_required":true,"max_payload":1048576,"connect_urls":["192.0.2.1:4222"]} `)
	if err != nil || i.Name != "hub" || i.Version != "2.9.10" || !i.Auth || i.Payload != 1<<20 || len(i.Connect) != 1 {
		t.Errorf("%+v, %v", i, err)
	}
	for _, line := range []string{"", "INFO", "INFO {}", "INFO {", `INFO {"version":7}`, "-ERR 'x'", `info {"version":"1"}`} {
		if i, err := parse(line); err == nil {
			t.Errorf("%q: %+v", line, i)
		}
	}
}

// FuzzParse: a server that is understood has a version or an id.
func FuzzParse(f *testing.F) {
	f.Add(`INFO {"version":"2.9.10"}`)
	f.Fuzz(func(t *testing.T, line string) {
		if i, err := parse(line); err == nil && i.Version+i.ID == "" {
			t.Errorf("%+v", i)
		}
	})
}
