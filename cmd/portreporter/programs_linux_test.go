package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// programs runs real programs in a network namespace, under a recorder, and
// collects what is known of them from /proc and from their own output.
type programs struct {
	t   *testing.T
	r   *recorderUnderTest
	ns  *testutil.NetNS
	dir string
	log *truth.Log
}

func newPrograms(t *testing.T, r *recorderUnderTest) *programs {
	t.Helper()
	p := &programs{t: t, r: r, ns: testutil.NewNetNS(t), dir: t.TempDir()}
	now := boottime()
	p.log = &truth.Log{NetNS: []uint32{p.ns.Inode}, From: now, WallOffset: clock(unix.CLOCK_REALTIME) - int64(now)}
	return p
}

func clock(id int32) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		panic(err)
	}
	return t.Nano()
}

func boottime() uint64 { return uint64(clock(unix.CLOCK_BOOTTIME)) }

// path finds a program.
func (p *programs) path(name string) string {
	p.t.Helper()
	return testutil.Program(p.t, name)
}

// python returns the interpreter itself: the name may be a script that finds one.
func (p *programs) python() string {
	p.t.Helper()
	out, err := exec.Command(p.path("python3"), "-c", "import os; print(os.readlink('/proc/self/exe'))").Output()
	if err != nil {
		p.t.Fatalf("python3: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// known adds what /proc says of a process, and returns its number in the truth.
func (p *programs) known(pid int) int {
	p.t.Helper()
	dir := "/proc/" + strconv.Itoa(pid)
	q := truth.Proc{N: len(p.log.Procs) + 1, PID: uint32(pid)}
	var st unix.Stat_t
	stat, err := os.ReadFile(dir + "/stat") // proc_pid_stat(5)
	if err == nil {
		q.Exe, err = os.Readlink(dir + "/exe")
	}
	if err == nil {
		err = unix.Stat(dir, &st)
	}
	if err != nil {
		p.t.Fatalf("process %d: %v\n%s", pid, err, p.r.said)
	}
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	ticks, _ := strconv.ParseUint(string(f[19]), 10, 64)
	ppid, _ := strconv.ParseUint(string(f[1]), 10, 32)
	q.StartMin, q.StartMax, q.PPID, q.UID = ticks*1e7, ticks*1e7+1e7-1, uint32(ppid), st.Uid
	p.log.Procs = append(p.log.Procs, q)
	return q.N
}

// server starts the namespace's first program, waits until it has its port, and
// returns its number in the truth. It is ended by the returned function.
func (p *programs) server(args ...string) (n int, end func()) {
	p.t.Helper()
	c := exec.Command(args[0], args[1:]...)
	said := &bytes.Buffer{}
	c.Stdout, c.Stderr, c.Dir = said, said, p.dir
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.ns.Start(c); err != nil {
		p.t.Fatal(err)
	}
	over := false
	end = func() {
		if !over {
			over = true
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGTERM)
			_ = c.Wait()
		}
	}
	p.t.Cleanup(end)
	eventually(p.t, args[0]+" has its port", func() bool { return p.r.sockets(p.ns.Inode) > 0 })
	n = p.known(c.Process.Pid)
	p.log.Procs[n-1].Args = args
	return n, end
}

// client runs a program to its end, and returns its number in the truth and what
// it printed. exe is the program that it becomes.
func (p *programs) client(exe string, c *exec.Cmd) (n int, out string) {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	q := truth.Proc{N: len(p.log.Procs) + 1, StartMin: boottime(), PPID: uint32(os.Getpid())}
	if err := p.ns.Start(c); err != nil {
		p.t.Fatal(err)
	}
	q.StartMax, q.PID = boottime(), uint32(c.Process.Pid)
	if err := c.Wait(); err != nil {
		p.t.Fatalf("%v: %v\n%s", c, err, &stderr)
	}
	var err error
	if q.Exe, err = filepath.EvalSymlinks(exe); err != nil {
		p.t.Fatal(err)
	}
	p.log.Procs = append(p.log.Procs, q)
	return q.N, stdout.String()
}

// curl fetches a page and states what curl did; server is who accepts.
func (p *programs) curl(url string, server func(page string) int) {
	p.t.Helper()
	n, out := p.client(p.path("curl"), exec.Command(p.path("curl"), "-sS", "-w", "\n%{local_ip}:%{local_port} %{remote_ip}:%{remote_port}", url))
	page, ends, _ := strings.Cut(strings.TrimSpace(out), "\n")
	if i := strings.LastIndexByte(ends, '\n'); i >= 0 {
		ends = ends[i+1:]
	}
	from, to, _ := strings.Cut(strings.TrimSpace(ends), " ")
	p.log.Exchanges = append(p.log.Exchanges, truth.Exchange{Case: url, Proto: activity.TCP, Client: n, Server: server(page),
		From: p.address(from), To: p.address(to)})
}

func (p *programs) address(s string) netip.AddrPort {
	p.t.Helper()
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

// listens states a listener, opened by one process; others may close it.
func (p *programs) listens(at string, n int, closers ...int) {
	x := truth.Expect{Kind: activity.KindListen, Proto: activity.TCP, Local: p.address(at), Proc: n}
	p.log.Expects = append(p.log.Expects, x)
	x.Kind, x.Alt = activity.KindUnlisten, closers
	p.log.Expects = append(p.log.Expects, x)
}

// compare ends the scenario: the events of these kinds, by default of all, are
// as stated.
func (p *programs) compare(kinds ...activity.Kind) {
	p.t.Helper()
	p.log.To = boottime()
	p.r.settled(p.log)
	rep := p.r.verify(p.log)
	if err := rep.Err(kinds...); err != nil {
		p.t.Errorf("%v\n%s", err, rep)
	}
}

// TestPrograms records real programs.
func TestPrograms(t *testing.T) {
	r := startRecorder(t)
	for _, c := range []struct {
		name string
		f    func(*programs)
	}{
		{"nginx with workers, curl", nginx},
		{"python's web server, curl", pythonServer},
		{"sshd", sshd},
		{"socket activation", socketActivated},
		{"a name is looked up", lookUp},
	} {
		t.Run(c.name, func(t *testing.T) { c.f(newPrograms(t, r)) })
	}
}

// nginx's master listens, its workers accept, and the page tells which one did.
func nginx(p *programs) {
	conf := filepath.Join(p.dir, "nginx.conf")
	p.write(conf, `daemon off; user root; worker_processes 2; pid `+p.dir+`/pid; error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path `+p.dir+`; proxy_temp_path `+p.dir+`; fastcgi_temp_path `+p.dir+`; uwsgi_temp_path `+p.dir+`; scgi_temp_path `+p.dir+`;
	server { listen 127.0.0.1:8080; location / { return 200 "$pid\n"; } }
}
`)
	master, end := p.server(p.path("nginx"), "-c", conf)
	p.log.Procs[master-1].Args = nil // it writes "nginx: master process" over them
	workers := map[int]int{}
	for range 20 {
		p.curl("http://127.0.0.1:8080/", func(page string) int {
			pid, _ := strconv.Atoi(page)
			if workers[pid] == 0 {
				workers[pid] = p.known(pid)
			}
			return workers[pid]
		})
	}
	var all []int
	for _, n := range workers {
		all = append(all, n)
	}
	end()
	// The listener ends with the last who has it open: a worker that served
	// nobody may be that one, so its owner is not asserted.
	p.listens("127.0.0.1:8080", master, all...)
	p.log.Expects[len(p.log.Expects)-1].Proc = 0
	p.compare()
}

func (p *programs) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func pythonServer(p *programs) {
	n, end := p.server(p.python(), "-m", "http.server", "--bind", "127.0.0.1", "8000")
	for range 5 {
		p.curl("http://127.0.0.1:8000/", func(string) int { return n })
	}
	end()
	p.listens("127.0.0.1:8000", n)
	p.compare()
}

// sshd accepts, and hands the connection to a child.
func sshd(p *programs) {
	key, conf := filepath.Join(p.dir, "key"), filepath.Join(p.dir, "sshd_config")
	if out, err := exec.Command(p.path("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		p.t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	_ = os.MkdirAll("/run/sshd", 0o755) // which its service would make
	p.write(conf, "HostKey "+key+"\nListenAddress 127.0.0.1:2222\nPidFile none\n")
	n, end := p.server(p.path("sshd"), "-D", "-e", "-f", conf)
	p.log.Procs[n-1].Args = nil // it writes "sshd: ... [listener]" over them
	own := p.known(os.Getpid())
	from := p.banner("127.0.0.1:2222")
	to := p.address("127.0.0.1:2222")
	for _, x := range []truth.Expect{
		{End: "client", Kind: activity.KindConnect, Local: from, Remote: to, Proc: own},
		{End: "server", Kind: activity.KindAccept, Local: to, Remote: from, Proc: n},
		{End: "client", Kind: activity.KindClose, Local: from, Remote: to, Proc: own},
		{End: "server", Kind: activity.KindClose, Local: to, Remote: from}, // by the child, which nobody here knows
	} {
		x.Proto = activity.TCP
		p.log.Expects = append(p.log.Expects, x)
	}
	eventually(p.t, "sshd's child has ended the connection", func() bool { return p.r.sockets(p.ns.Inode) == 1 })
	end()
	p.listens("127.0.0.1:2222", n)
	// Not all kinds: the child looks its own address up, for which the C library
	// connects a UDP socket that it sends nothing by (RFC 6724, section 5).
	p.compare(kinds("listen unlisten connect connect-failed accept close")...)
}

// banner connects, reads the server's first line, and returns the own end.
func (p *programs) banner(at string) (from netip.AddrPort) {
	p.t.Helper()
	p.ns.Do(func() {
		c, err := net.Dial("tcp", at)
		if err != nil {
			p.t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			p.t.Errorf("%s: %v", at, err)
		}
		from = c.LocalAddr().(*net.TCPAddr).AddrPort()
	})
	return from
}

// socketActivated has a listener of one program, which executes another in its
// place when the first connection comes: the same process, two images.
func socketActivated(p *programs) {
	script := `import socket
l = socket.socket(fileno=3)
c, _ = l.accept()
c.sendall(b"hello\n")
c.recv(1)
`
	python := p.python()
	n, end := p.server(p.path("systemd-socket-activate"), "-l", "127.0.0.1:8081", python, "-I", "-c", script)
	before := p.log.Procs[n-1]
	own := p.known(os.Getpid())
	from := p.banner("127.0.0.1:8081")
	after := before
	after.N, after.Exe, after.Args = len(p.log.Procs)+1, python, []string{python, "-I", "-c", script}
	p.log.Procs = append(p.log.Procs, after)
	p.log.Exchanges = append(p.log.Exchanges, truth.Exchange{Case: "activated", Proto: activity.TCP, Client: own, Server: after.N,
		From: from, To: p.address("127.0.0.1:8081")})
	eventually(p.t, "the program has ended by itself", func() bool { return p.r.sockets(p.ns.Inode) == 0 })
	end()
	p.listens("127.0.0.1:8081", n)
	p.log.Expects[len(p.log.Expects)-1].Proc = after.N // the other image closes it
	p.compare()
}

// lookUp lets the C library's resolver ask a name server of the test.
func lookUp(p *programs) {
	p.ns.Veth() // with the loopback's address alone, the resolver asks for none (AI_ADDRCONFIG)
	var server *net.UDPConn
	p.ns.Do(func() {
		var err error
		if server, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(p.address("127.0.0.1:53"))); err != nil {
			p.t.Fatal(err)
		}
	})
	own := p.known(os.Getpid())
	asked := make(chan netip.AddrPort, 1)
	go func() { asked <- answerOnce(server) }()

	resolv := filepath.Join(p.dir, "resolv.conf")
	p.write(resolv, "nameserver 127.0.0.1\n")
	if err := os.Chmod(resolv, 0o644); err != nil {
		p.t.Fatal(err)
	}
	c := exec.Command("/bin/sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$1" ahostsv4 service.example`, resolv, p.path("getent"))
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	n, out := p.client(p.path("getent"), c)
	if !strings.Contains(out, "192.0.2.7") {
		p.t.Errorf("getent printed %q", out)
	}
	from := <-asked
	server.Close()
	p.log.Exchanges = append(p.log.Exchanges, truth.Exchange{Case: "look-up", Proto: activity.UDP, Client: n, Server: own, From: from, To: p.address("127.0.0.1:53")})
	for _, k := range []activity.Kind{activity.KindBind, activity.KindUnbind} {
		p.log.Expects = append(p.log.Expects, truth.Expect{End: "server", Kind: k, Proto: activity.UDP, Local: p.address("127.0.0.1:53"), Proc: own})
	}
	p.compare()
}

// answerOnce answers one question for an address (RFC 1035, section 4.1), with
// one of TEST-NET-1, and returns who asked.
func answerOnce(c *net.UDPConn) netip.AddrPort {
	b := make([]byte, 512)
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil || n < 12 {
		return netip.AddrPort{}
	}
	question := b[12:n]
	if i := bytes.IndexByte(question, 0); i >= 0 && len(question) >= i+5 {
		question = question[:i+5] // name, type, class: without EDNS
	}
	answer := append(b[:2:2], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0)
	answer = append(answer, question...)
	answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7)
	if _, err := c.WriteToUDPAddrPort(answer, from); err != nil {
		fmt.Fprintln(os.Stderr, "name server:", err)
	}
	return from
}
