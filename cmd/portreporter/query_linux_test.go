package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

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
