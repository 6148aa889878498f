package identify

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJudge(t *testing.T) {
	ssh := truth{protocol: "ssh", facts: []string{"OpenSSH", "9.2p1"}, untrue: []string{"Windows"}}
	host := truth{facts: []string{"Linux|Debian"}, untrue: []string{"Windows"}}
	for _, tt := range []struct {
		name    string
		truth   truth
		said    said
		want    mark
		missing []string
	}{
		{"all", ssh, said{protocol: "SSH", text: "openssh_9.2p1"}, right, nil},
		{"a fact missing", ssh, said{protocol: "ssh", text: "OpenSSH"}, less, []string{"9.2p1"}},
		{"nothing recognised", ssh, said{text: "OpenSSH 9.2p1"}, silent, nil},
		{"another protocol", ssh, said{protocol: "telnet", text: "OpenSSH 9.2p1"}, wrong, nil},
		{"an untruth", ssh, said{protocol: "ssh", text: "OpenSSH 9.2p1 for Windows"}, wrong, nil},
		{"closed", ssh, said{absent: true}, wrong, []string{"OpenSSH", "9.2p1"}},
		{"one of two wordings", host, said{text: "OS: Linux"}, right, nil},
		{"nothing of the host", host, said{}, silent, []string{"Linux|Debian"}},
		{"an untruth of the host", host, said{text: "OS: Windows"}, wrong, []string{"Linux|Debian"}},
	} {
		if got, missing := judge(tt.truth, tt.said); got != tt.want || cmp.Diff(tt.missing, missing) != "" {
			t.Errorf("%s: %v, missing %q", tt.name, got, missing)
		}
	}
}

func TestLessRight(t *testing.T) {
	db := truth{protocol: "db", facts: []string{"name", "version"}, untrue: []string{"Windows"}}
	all, none := said{protocol: "db", text: "name version"}, said{}
	name, version := said{protocol: "db", text: "name"}, said{protocol: "db", text: "version"}
	lies := said{protocol: "db", text: "version on Windows"}
	for _, tt := range []struct {
		name        string
		ours, other said
		want        bool
	}{
		{"as right", all, all, false}, {"more", all, name, false}, {"less", name, all, true}, {"silent both", none, none, false},
		{"silent beside what is wrong", none, said{protocol: "x"}, false},
		{"another fact", name, version, true}, {"a fact that a liar has", name, lies, true}, {"all beside a liar", all, lies, false},
	} {
		if got := lessRight(db, tt.ours, tt.other); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestReadOurs(t *testing.T) {
	got, err := readOurs([]byte(`{"v":1,"port":22,"proto":"tcp","verdict":"listening","answer":{"protocol":"ssh","summary":"OpenSSH","fields":[{"name":"comments","values":["Debian","x"]}]}}
{"v":1,"port":4500,"proto":"udp","verdict":"not-listening"}
`))
	want := map[string]said{"22/tcp": {protocol: "ssh", text: "OpenSSH; comments Debian, x"}, "4500/udp": {absent: true}, whole: {text: "OpenSSH; comments Debian, x; ; "}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(said{})); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if _, err := readOurs([]byte("panic\n")); err == nil {
		t.Error("no JSON is read")
	}
}

func TestReadTable(t *testing.T) {
	got := readTable([]byte(`PORT      STATE         SERVICE   VERSION
22/tcp    open          ssh       OpenSSH 9.2p1 (protocol 2.0)
636/tcp   open          ssl/ldap  (Anonymous bind OK)
2379/tcp  open          etcd-client?
80/tcp    open          unknown
69/udp    open|filtered tftp
4500/udp  closed        nat-t-ike
Service Info: OS: Linux
1 service unrecognized
`))
	want := map[string]said{
		"22/tcp": {protocol: "ssh", text: "ssh OpenSSH 9.2p1 (protocol 2.0)"}, "636/tcp": {protocol: "ldap", text: "ssl/ldap (Anonymous bind OK)"},
		"2379/tcp": {}, "80/tcp": {}, "69/udp": {}, "4500/udp": {absent: true}, whole: {text: "OS: Linux"},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(said{})); d != "" {
		t.Error(d)
	}
}
