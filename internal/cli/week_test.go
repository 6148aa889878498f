package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// weekRecord writes the record that docs/REPORTS.md and docs/COOKBOOK.md ask:
// two days of a web server, 5 and 6 January 2026, in which this happens:
//
//   - nginx serves 443 (few at night, many by day), postgres its local port, and
//     sshd is tried by 198.51.100.9 and used by alice.
//   - 198.51.100.23 scans the host on Monday at 14:05.
//   - the recorder misses two seconds on Monday evening, and is down from 06:00
//     to 06:10 on Tuesday.
//   - on Tuesday at 02:41 somebody opens 4444 from a file that is gone, as
//     www-data, and 198.51.100.66 comes.
//   - on Tuesday at 10:00 postgres is restarted, and from then on listens on
//     all addresses; at 11:30 node wants the port that java has.
//   - alice browses, apt and curl fetch, rsync fails to reach 192.0.2.40.
func weekRecord(dir string) error { return story([]string{dir}, strings.NewReader(weekStory())) }

func runWeek() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: week DIR")
		os.Exit(1)
	}
	if err := weekRecord(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "week:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

const weekProcesses = `
process systemd pid=1 exe=/usr/lib/systemd/systemd
process sshd pid=811 exe=/usr/sbin/sshd unit=ssh.service package="openssh-server 1:9.2p1-2" module="/usr/sbin/sshd|openssh-server 1:9.2p1-2" module="/usr/lib/x86_64-linux-gnu/libc.so.6|libc6 2.36-9" module="/usr/lib/x86_64-linux-gnu/liblzma.so.5.6.1|liblzma5 5.6.1-1"
process master name=nginx pid=900 exe=/usr/sbin/nginx unit=nginx.service package="nginx 1.22.1-9" module="/usr/sbin/nginx|nginx 1.22.1-9" module="/usr/lib/x86_64-linux-gnu/libc.so.6|libc6 2.36-9" module="/usr/lib/x86_64-linux-gnu/libssl.so.3|libssl3 3.0.15-1"
process worker name=nginx pid=901 exe=/usr/sbin/nginx user=www-data uid=33 unit=nginx.service package="nginx 1.22.1-9" module="/usr/sbin/nginx|nginx 1.22.1-9" module="/usr/lib/x86_64-linux-gnu/libc.so.6|libc6 2.36-9" module="/usr/lib/x86_64-linux-gnu/libssl.so.3|libssl3 3.0.15-1"
process postgres pid=1010 exe=/usr/lib/postgresql/15/bin/postgres user=postgres uid=110 unit=postgresql@15-main.service package="postgresql-15 15.10-0"
process postgres2 name=postgres pid=5310 exe=/usr/lib/postgresql/15/bin/postgres user=postgres uid=110 unit=postgresql@15-main.service package="postgresql-15 15.10-0"
process cupsd pid=2210 exe=/usr/sbin/cupsd unit=cups.service
process resolved name=systemd-resolve pid=600 exe=/usr/lib/systemd/systemd-resolved user=systemd-resolve uid=991 unit=systemd-resolved.service
process java pid=1500 exe=/usr/lib/jvm/java-17/bin/java user=tomcat uid=998 unit=tomcat10.service
process node pid=6120 exe=/usr/bin/node user=deploy uid=1001 args=node args=server.js
process exporter name=node_exporter pid=1700 exe=/bin/node_exporter user=nobody uid=65534 container=metrics image=prom/node-exporter:v1.8
process nc pid=4242 start=2026-01-06T02:40:58Z exe=/tmp/.x/nc user=www-data uid=33 unit=nginx.service args=nc args=-l args=4444 parent=sh deleted
process firefox name=firefox-esr pid=3300 exe=/usr/lib/firefox-esr/firefox-esr user=alice uid=1000
process curl pid=3400 exe=/usr/bin/curl user=deploy uid=1001
process apt name=http pid=3500 exe=/usr/lib/apt/methods/http user=_apt uid=42
process rsync pid=3600 exe=/usr/bin/rsync user=backup uid=34
`

// storyLines are the lines of a story.
type storyLines struct {
	lines  []storyLine
	socket int
	port   int
}

type storyLine struct {
	at   time.Time
	text string
}

func (s *storyLines) add(at time.Time, format string, args ...any) {
	s.lines = append(s.lines, storyLine{at, fmt.Sprintf(format, args...)})
}

// String gives the lines in the order of time.
func (s *storyLines) String() string {
	slices.SortStableFunc(s.lines, func(a, b storyLine) int { return a.at.Compare(b.at) })
	var b strings.Builder
	b.WriteString(weekProcesses)
	for _, l := range s.lines {
		fmt.Fprintf(&b, "%s %s\n", l.at.Format(time.RFC3339Nano), l.text)
	}
	return b.String()
}

// exchange is a connection with its end.
func (s *storyLines) exchange(at time.Time, kind, local, remote, who string, lasts time.Duration, rx, tx int) {
	s.socket++
	s.add(at, "%s tcp %s %s @%s socket=%d", kind, local, remote, who, s.socket)
	inbound := ""
	if kind == "accept" {
		inbound = " inbound"
	}
	s.add(at.Add(lasts), "close tcp %s %s @%s socket=%d after=%s rx=%d tx=%d%s", local, remote, who, s.socket, lasts, rx, tx, inbound)
}

// client gives a port as the kernel does, one after the other.
func (s *storyLines) client() int {
	s.port = s.port%20000 + 1
	return 32767 + s.port
}

func weekStory() string {
	s := &storyLines{socket: 100}
	day := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	s.add(day, "recorder-start")
	s.found(day, "127.0.0.1:5432 @postgres socket=5")
	for hour := range 48 {
		at := day.Add(time.Duration(hour) * time.Hour)
		s.visitors(at)
		s.customs(at)
		switch hour {
		case 14:
			s.scan(at.Add(5 * time.Minute))
		case 17:
			s.add(at.Add(30*time.Minute), "gap from=%s to=%s lost=accept:312 why=\"the kernel's ring was full\"",
				at.Add(30*time.Minute).Format(time.RFC3339), at.Add(30*time.Minute+2*time.Second).Format(time.RFC3339))
		case 26:
			s.intruder(at.Add(41 * time.Minute))
		case 29:
			s.add(at.Add(59*time.Minute+59*time.Second), "recorder-stop")
			s.add(at.Add(70*time.Minute), "recorder-start")
			s.found(at.Add(70*time.Minute), "127.0.0.1:5432 @postgres socket=5")
		case 34:
			s.add(at, "unlisten tcp 127.0.0.1:5432 @postgres socket=5 after=34h")
			s.add(at.Add(4*time.Second), "listen tcp 0.0.0.0:5432 @postgres2 socket=50")
		case 35:
			s.add(at.Add(30*time.Minute), "bind-failed tcp 0.0.0.0:8080 @node reason=address-in-use holder=@java")
			s.add(at.Add(30*time.Minute+5*time.Second), "bind-failed tcp 0.0.0.0:8080 @node reason=address-in-use holder=@java")
			s.add(at.Add(31*time.Minute), "listen tcp 0.0.0.0:8081 @node socket=60")
		}
	}
	s.add(day.Add(48*time.Hour-time.Second), "recorder-stop")
	return s.String()
}

// found is what a recorder finds when it starts.
func (s *storyLines) found(at time.Time, postgres string) {
	at = at.Add(100 * time.Millisecond)
	for _, what := range []string{"0.0.0.0:22 @sshd socket=1", "[::]:443 @master socket=2 with=@worker", "[::]:80 @master socket=3 with=@worker", postgres,
		"127.0.0.1:631 @systemd socket=6 with=@cupsd", "0.0.0.0:8080 @java socket=7", "172.17.0.2:9100 @exporter socket=8 netns=4026532200"} {
		s.add(at, "snapshot tcp %s", what)
	}
	s.add(at, "snapshot udp 127.0.0.53:53 @resolved socket=9")
}

// visitors come to the web server: three an hour at night, up to 40 by day.
func (s *storyLines) visitors(at time.Time) {
	n := 3
	if h := at.Hour(); h >= 8 && h < 22 && at.Add(time.Hour).Hour() != 6 {
		n = 40 - 3*max(h-14, 14-h)
	}
	for i := range n {
		from := fmt.Sprintf("203.0.113.%d:%d", 100+(i*i+at.Hour())%60, s.client())
		s.exchange(at.Add(time.Duration(i)*80*time.Second+12*time.Minute), "accept", "192.0.2.10:443", from, "worker", time.Duration(200+i*37)*time.Millisecond, 800+i*10, 14000+i*i*90)
	}
	if at.Hour()%6 == 2 { // somebody guesses passwords
		for i := range 8 {
			s.exchange(at.Add(20*time.Minute+time.Duration(i)*3*time.Second), "accept", "192.0.2.10:22", fmt.Sprintf("198.51.100.9:%d", s.client()), "sshd", 2*time.Second, 1200, 2400)
		}
	}
}

// customs are what happens every day.
func (s *storyLines) customs(at time.Time) {
	out := func(after time.Duration, remote, who string, lasts time.Duration, rx, tx int) {
		s.exchange(at.Add(after), "connect", fmt.Sprintf("192.0.2.10:%d", s.client()), remote, who, lasts, rx, tx)
	}
	if h := at.Hour(); h >= 9 && h < 12 {
		s.exchange(at.Add(15*time.Minute), "accept", "192.0.2.10:22", fmt.Sprintf("192.0.2.77:%d", s.client()), "sshd", 40*time.Minute, 90000, 410000)
		out(17*time.Minute, "203.0.113.20:443", "firefox", 42*time.Second, 2400000, 31000)
		out(18*time.Minute, "203.0.113.21:443", "firefox", 9*time.Second, 380000, 7000)
		s.exchange(at.Add(25*time.Minute), "accept", "127.0.0.1:631", fmt.Sprintf("127.0.0.1:%d", s.client()), "cupsd", 300*time.Millisecond, 900, 5200)
	}
	if at.Hour()%4 == 1 {
		out(40*time.Minute, "203.0.113.7:443", "curl", 350*time.Millisecond, 5200, 640)
	}
	if at.Hour() == 4 {
		out(10*time.Minute, "198.51.100.80:80", "apt", 8*time.Second, 18400000, 4100)
		s.add(at.Add(30*time.Minute), "connect-failed tcp 192.0.2.10:%d 192.0.2.40:873 @rsync reason=timed-out", s.client())
	}
	if at.Hour() == 5 {
		s.add(at.Add(30*time.Minute), "connect-failed tcp 192.0.2.10:%d 192.0.2.40:873 @rsync reason=refused", s.client())
	}
	name := fmt.Sprintf("0.0.0.0:%d", s.client())
	s.socket++
	s.add(at.Add(41*time.Minute), "bind udp %s @resolved socket=%d autobind", name, s.socket)
	s.add(at.Add(41*time.Minute), "flow udp %s 192.0.2.53:53 @resolved socket=%d", name, s.socket)
	s.add(at.Add(41*time.Minute+30*time.Millisecond), "flow-end udp %s 192.0.2.53:53 @resolved socket=%d after=30ms rx=120 tx=44 reason=closed", name, s.socket)
	s.add(at.Add(41*time.Minute+31*time.Millisecond), "unbind udp %s @resolved socket=%d after=31ms", name, s.socket)
}

// scan is one host that tries one port after the other.
func (s *storyLines) scan(at time.Time) {
	for i, port := range []int{21, 23, 25, 110, 111, 135, 139, 143, 445, 993, 1433, 1521, 3306, 3389, 5900, 6379, 8443, 9200, 11211, 27017} {
		s.add(at.Add(time.Duration(i)*120*time.Millisecond), "knock tcp 192.0.2.10:%d 198.51.100.23:%d", port, 51000+i)
	}
	s.add(at.Add(time.Hour), "knock tcp 192.0.2.10:23 198.51.100.44:40111")
}

// intruder opens a port from a file that is gone.
func (s *storyLines) intruder(at time.Time) {
	s.add(at, "listen tcp 0.0.0.0:4444 @nc socket=44")
	s.exchange(at.Add(72*time.Second), "accept", "192.0.2.10:4444", "198.51.100.66:50122", "nc", 11*time.Minute, 5200, 740000)
	s.exchange(at.Add(4*time.Minute), "connect", fmt.Sprintf("192.0.2.10:%d", s.client()), "198.51.100.66:8080", "nc", 90*time.Second, 310000, 900)
	s.add(at.Add(13*time.Minute), "unlisten tcp 0.0.0.0:4444 @nc socket=44 after=13m")
}
