package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/probe"
)

// greeter listens on loopback and greets everybody in FTP's words.
func greeter(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				fmt.Fprint(c, "220 hello FTP\r\n")
				for sc := bufio.NewScanner(c); sc.Scan(); {
					if strings.HasPrefix(sc.Text(), "QUIT") {
						fmt.Fprint(c, "221 bye\r\n")
						return
					}
					fmt.Fprint(c, "530 no\r\n")
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return netip.MustParseAddrPort(l.Addr().String())
}

// closedPort is one that nothing listens on, for the time being.
func closedPort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func runQuery(t *testing.T, args ...string) (code int, out, msg string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Run(t.Context(), append([]string{"query"}, args...), strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestQuery(t *testing.T) {
	ftp, none := greeter(t), closedPort(t)
	ports := fmt.Sprintf("%d,%d", ftp.Port(), none)
	code, out, msg := runQuery(t, "127.0.0.1", ports, "--as", "ftp", "--explain")
	for _, want := range []string{"LISTENING", "ftp: hello FTP", "  greeting: 220 hello FTP\n", "NOT LISTENING", "refused (RST)", "portreporter list port:" + fmt.Sprint(none)} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code != 0 || msg != "" {
		t.Errorf("exit %d, %s", code, msg)
	}
	_, out, _ = runQuery(t, "127.0.0.1", ports, "--verdict-only", "--csv")
	if n := strings.Count(out, "\n"); n != 3 || !strings.HasPrefix(out, "v,time,host,ip,proto,port,") || strings.Contains(out, "hello") {
		t.Errorf("csv\n%s", out)
	}
	_, out, _ = runQuery(t, "127.0.0.1,127.0.0.1", ports, "--verdict-only", "--json")
	verdicts := map[int]string{}
	for line := range strings.Lines(out) {
		var r struct {
			Port    int
			Verdict string
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		verdicts[r.Port] = r.Verdict
	}
	if d := cmp.Diff(map[int]string{int(ftp.Port()): "listening", int(none): "not-listening"}, verdicts); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestQueryExpect(t *testing.T) {
	ftp, none := greeter(t), closedPort(t)
	file := filepath.Join(t.TempDir(), "want.txt")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(fmt.Sprintf("127.0.0.1 %d listening\n127.0.0.1 %d not-listening\n", ftp.Port(), none))
	if code, out, msg := runQuery(t, "--expect", file, "--verdict-only"); code != 0 || out != "" || msg != "" {
		t.Errorf("as expected: exit %d\n%s%s", code, out, msg)
	}
	write(fmt.Sprintf("# both\n127.0.0.1 %d,%d listening\n", ftp.Port(), none))
	code, out, msg := runQuery(t, "--expect", file, "--verdict-only")
	if want := fmt.Sprintf("%s:2: 127.0.0.1 %d/tcp is NOT LISTENING (refused (RST)), expected LISTENING\n", file, none); out != want {
		t.Errorf("got  %swant %s", out, want)
	}
	if code != 1 || msg != "portreporter: query: 1 of 2 ports are not as expected\n" {
		t.Errorf("exit %d, %s", code, msg)
	}
	write(fmt.Sprintf("127.0.0.1 %d listening\n127.0.0.1 %d filtered\n", none, none))
	if code, _, msg := runQuery(t, "--expect", file); code != 2 || !strings.Contains(msg, ":2: 127.0.0.1 is expected to be something else in line 1") {
		t.Errorf("contradiction: exit %d, %s", code, msg)
	}
}

// What changes is printed once, with what it was.
func TestQueryWatch(t *testing.T) {
	port := closedPort(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, []string{"query", "127.0.0.1", fmt.Sprint(port), "--watch", "20ms", "--verdict-only"}, strings.NewReader(""), w, io.Discard)
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	next := func(want string) {
		t.Helper()
		if !lines.Scan() || !strings.HasSuffix(lines.Text(), want) {
			t.Errorf("%q, want %q", lines.Text(), want)
		}
	}
	next(fmt.Sprintf("%d/tcp  NOT LISTENING  refused (RST)", port))
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	next("NOT LISTENING -> LISTENING  connected")
	l.Close()
	next("LISTENING -> NOT LISTENING  refused (RST)")
	cancel()
	go io.Copy(io.Discard, r)
	if code := <-ended; code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestWrongQuery(t *testing.T) {
	for args, want := range map[string]string{
		"":                                     "an argument is missing",
		"127.0.0.1 80 81":                      "wrong arguments",
		"127.0.0.1 8o":                         `bad port "8o"`,
		"127.0.0.1, 80":                        `a host is missing in "127.0.0.1,"`,
		"127.0.0.1 80 --group nope":            `unknown group "nope"`,
		"127.0.0.1 80 --udp --both":            "--udp and --both exclude each other",
		"127.0.0.1 80 --json --csv":            "--json and --csv exclude each other",
		"127.0.0.1 --local":                    "--local and HOST exclude each other",
		"127.0.0.1 80 --as ftpp":               `unknown protocol "ftpp"; did you mean "ftp"?`,
		"127.0.0.0/16 80":                      "65536 tests or more: above 4096 they need --many",
		"2001:db8::/32 80":                     "tests or more: above 4096 they need --many",
		"127.0.0.1 80 --services /nope":        "services file: open /nope",
		"no-such-host.invalid 80":              `resolve "no-such-host.invalid"`,
		"127.0.0.1 80 --groups /nope":          "groups: open /nope",
		"--expect /nope":                       "open /nope",
		"127.0.0.1 80 --rate x":                "--rate",
		"127.0.0.1 80 --source-port 70000":     "--source-port",
		"127.0.0.1 80 --exlain":                `did you mean "--explain"?`,
		"--local --follow":                     "--local and --follow exclude each other",
		"127.0.0.1 135 --follow --watch 5s":    "--follow and --watch exclude each other",
		"--expect f --watch 5s":                "--expect and --watch exclude each other",
		"127.0.0.1 80 --as ftp --verdict-only": "--as and --verdict-only exclude each other",
	} {
		code, out, msg := runQuery(t, strings.Fields(args)...)
		if code == 0 || out != "" || !strings.Contains(msg, want) || strings.Count(msg, "\n") != 1 {
			t.Errorf("query %s: exit %d, %q, want %q\n%s", args, code, msg, want, out)
		}
	}
	if code, out, _ := runQuery(t, "--group", "list"); code != 0 || !strings.Contains(out, "domains-and-trusts   Domains and Trusts\n") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// What an endpoint mapper names is tested too, each port once, and none that was
// tested already.
func TestDynamicPorts(t *testing.T) {
	at := netip.MustParseAddr("192.0.2.1")
	binding := func(v string) probe.Field { return probe.Field{Name: "binding", Values: []string{v}} }
	results := []probe.Result{
		{Target: probe.Target{Host: "dc1", Addr: at, Proto: probe.TCP, Port: 135}, Answer: &probe.Answer{Protocol: "rpc", Fields: []probe.Field{
			binding("ncacn_ip_tcp:0.0.0.0[49664]"), binding("ncacn_ip_tcp:192.0.2.1[49664]"), binding("ncacn_ip_tcp:0.0.0.0[389]"), binding("ncadg_ip_udp:0.0.0.0[500]"),
			binding(`ncacn_np:\\DC1[\PIPE\lsass]`), binding("ncacn_ip_tcp:0.0.0.0[0]"), binding("ncacn_ip_tcp:0.0.0.0[70000]"), binding("ncacn_ip_tcp:0.0.0.0[1"), binding("ncacn_ip_tcp:")}}},
		{Target: probe.Target{Host: "dc1", Addr: at, Proto: probe.TCP, Port: 389}, Answer: &probe.Answer{Protocol: "ldap", Fields: []probe.Field{binding("ncacn_ip_tcp:0.0.0.0[7]")}}},
	}
	q := &querying{queryFlags: &queryFlags{}}
	want := []probe.Target{{Host: "dc1", Addr: at, Proto: probe.TCP, Port: 49664}}
	if d := cmp.Diff(want, q.dynamic(results), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// What is open, what answers and what a port is named for are held against each
// other.
func TestLocalMismatch(t *testing.T) {
	a4, a6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	open := []*activity.Socket{
		{Proto: activity.TCP, State: activity.StateListen, Local: netip.MustParseAddrPort("0.0.0.0:21")},
		{Proto: activity.TCP, State: activity.StateListen, Local: netip.MustParseAddrPort("[::]:80")},
		{Proto: activity.UDP, State: activity.StateBound, Local: netip.MustParseAddrPort("192.0.2.1:53")},
	}
	ftp := &probe.Answer{Protocol: "ftp"}
	for _, c := range []struct {
		name    string
		proto   probe.Proto
		at      netip.Addr
		port    uint16
		service string
		verdict probe.Verdict
		answer  *probe.Answer
		want    string
	}{
		{"as it should be", probe.TCP, a4, 21, "ftp", probe.Listening, ftp, ""},
		{"its answer is not understood", probe.TCP, a4, 21, "ftp", probe.Listening, &probe.Answer{Summary: "hello"}, ""},
		{"dropped", probe.TCP, a4, 21, "ftp", probe.Filtered, nil, "open, but not reachable from here"},
		{"refused", probe.TCP, a4, 21, "ftp", probe.NotListening, nil, "open, but not reachable from here"},
		{"another protocol", probe.TCP, a4, 21, "smtp", probe.Listening, ftp, "it speaks ftp, not smtp"},
		{"perhaps IPv6 only", probe.TCP, a4, 80, "http", probe.NotListening, nil, ""},
		{"dropped by IPv6", probe.TCP, a6, 80, "http", probe.Filtered, nil, "open, but not reachable from here"},
		{"a silent UDP socket", probe.UDP, a4, 53, "domain", probe.ListeningOrFiltered, nil, ""},
		{"a refused UDP socket", probe.UDP, a4, 53, "domain", probe.NotListening, nil, "open, but not reachable from here"},
	} {
		r := probe.Result{Target: probe.Target{Addr: c.at, Proto: c.proto, Port: c.port, Service: c.service}, Verdict: c.verdict, Answer: c.answer}
		found := (&querying{}).compare(open, []probe.Result{r}, 1)
		if len(found) != 1 || found[0].Socket == nil || found[0].Note != c.want {
			t.Errorf("%s: %+v, want %q", c.name, found, c.want)
		}
	}
	stranger := probe.Result{Target: probe.Target{Addr: a4, Proto: probe.TCP, Port: 9000}, Verdict: probe.Listening}
	closed := stranger
	closed.Verdict = probe.NotListening
	found := (&querying{}).compare(open, []probe.Result{stranger, closed}, 0)
	if len(found) != 1 || found[0].Socket != nil || !strings.Contains(found[0].Note, "nobody here is known to have it open") {
		t.Errorf("what answers and is nobody's: %+v", found)
	}
}
