package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/testutil"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// tested is what these tests read of a result in JSON.
type tested struct {
	IP, Proto, Verdict, Mismatch string
	Port                         int
	Process                      *struct{ PID int }
	Answer                       *struct{ Protocol string }
}

func decodeTested(t *testing.T, out []byte) (all []tested) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var r tested
		switch err := d.Decode(&r); err {
		case nil:
			all = append(all, r)
		case io.EOF:
			return all
		default:
			t.Fatalf("%v in %s", err, out)
		}
	}
}

// TestQueryLocal: what a recorder knows to be open is held against what answers,
// behind a firewall that drops one port, another that leads elsewhere, as those of
// containers are published, and with a service at the port of another.
func TestQueryLocal(t *testing.T) {
	ns := testutil.NewNetNS(t)
	ns.Veth()
	nft := exec.Command(testutil.Program(t, "nft"), "-f", "-")
	nft.Stdin = strings.NewReader(fmt.Sprintf(`table ip f {
chain in { type filter hook input priority 0
ip daddr %[1]s tcp dport 7001 drop
}
chain out { type nat hook output priority -100
tcp dport 7002 redirect to :7001
}
}
`, testutil.Veth4[0].Addr()))
	if out, err := ns.Output(nft); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	serve := func(port int, greeting string) {
		ns.Do(func() {
			l, err := net.Listen("tcp4", fmt.Sprintf(":%d", port))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = io.WriteString(c, greeting)
					_ = c.SetReadDeadline(time.Now().Add(time.Second))
					_, _ = io.Copy(io.Discard, c)
					c.Close()
				}
			}()
		})
	}
	serve(7001, "a service of its own\r\n")
	serve(443, "SSH-2.0-OpenSSH_9.2p1\r\n")
	r := startRecorder(t)
	out, err := ns.Output(exec.Command(r.bin, "query", "--local", "--json", "--dir", r.dir, "--control-path", r.control))
	if err != nil {
		t.Fatalf("query --local: %v\n%s", err, out)
	}
	own, got := testutil.Veth4[0].Addr().String(), map[string]string{}
	for _, x := range decodeTested(t, out) {
		if x.Proto == "tcp" && (x.IP == own || x.IP == "127.0.0.1") {
			what, _, _ := strings.Cut(x.Mismatch, ":")
			got[fmt.Sprintf("%s %d %v", x.IP, x.Port, x.Process != nil)] = x.Verdict + " " + what
		}
	}
	const unknown = "listening nobody here is known to have it open"
	want := map[string]string{
		"127.0.0.1 7001 true": "listening ", own + " 7001 true": "filtered open, but not reachable from here",
		"127.0.0.1 7002 false": unknown, own + " 7002 false": unknown,
		"127.0.0.1 443 true": "listening it speaks ssh, not http", own + " 443 true": "listening it speaks ssh, not http",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// TestQueryFollow: the ports that a domain controller's endpoint mapper names are
// tested too, and one that a firewall drops is told.
func TestQueryFollow(t *testing.T) {
	client := testutil.NewNetNS(t)
	host := client.Veth()
	dc := server.StartIn(t, host, testutil.Veth4[1].Addr(), "samba")
	bin := testutil.Build(t, "./cmd/portreporter")
	ask := func() map[int]string {
		out, err := client.Output(exec.Command(bin, "query", dc.Addr.String(), "135", "--follow", "--json"))
		if err != nil {
			t.Fatalf("query --follow: %v\n%s", err, out)
		}
		got := map[int]string{}
		for _, x := range decodeTested(t, out) {
			got[x.Port] = x.Verdict
		}
		return got
	}
	got := ask()
	dynamic := 0
	for port, verdict := range got {
		if verdict != "listening" {
			t.Errorf("port %d: %s", port, verdict)
		}
		if port >= 49152 {
			dynamic = port
		}
	}
	if got[135] == "" || dynamic == 0 {
		t.Fatalf("no dynamic port is tested: %v", got)
	}
	nft := exec.Command(testutil.Program(t, "nft"), "-f", "-")
	nft.Stdin = strings.NewReader(fmt.Sprintf("table ip f {\nchain in { type filter hook input priority 0\ntcp dport %d drop\n}\n}\n", dynamic))
	if out, err := host.Output(nft); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	if got := ask()[dynamic]; got != "filtered" {
		t.Errorf("port %d, dropped: %q", dynamic, got)
	}
}
