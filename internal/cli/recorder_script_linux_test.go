package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/control"
	"github.com/portreporter/portreporter/internal/testutil"
)

// patience bounds every wait of the scripts: it is no measure, only what makes
// a test that hangs fail.
const patience = time.Minute

// TestRecorderScript runs the part of the manual that needs a recorder of this
// machine. Beside testscript's own commands the scripts have
//
//	record [FLAG ...]            start a recorder, and wait until it records
//	end [SIGINT]                 end it (SIGTERM); it must exit with 0; record.log is what it said
//	user COMMAND [ARG ...]       exec, as a user that is nobody in particular
//	shop open ADDRESS [NAME]     start a server, which is called webshop unless a Go-quoted NAME is given
//	shop visit|share|close|call  have it do that, and wait until it is on record
//
// The server runs in a network namespace of the script's own.
func TestRecorderScript(t *testing.T) {
	testutil.Root(t, "recording every process's ports")
	files, err := filepath.Glob("testdata/script/recorder/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			b := &stage{ns: testutil.NewNetNS(t)}
			p := scriptParams()
			p.Files = []string{file}
			p.Cmds = map[string]func(*testscript.TestScript, bool, []string){"record": b.record, "end": b.endRecorder, "user": b.user, "shop": b.shop}
			setup := p.Setup
			p.Setup = func(env *testscript.Env) error {
				if err := setup(env); err != nil {
					return err
				}
				env.Setenv("PORTREPORTER_DIR", filepath.Join(env.WorkDir, "record"))
				env.Setenv("PORTREPORTER_CONTROL_PATH", filepath.Join(env.WorkDir, "control.sock"))
				env.Defer(b.close)
				return openToUsers(env)
			}
			testscript.Run(t, p)
		})
	}
}

// openToUsers lets other users reach the programs and the script's directory,
// which has a home for them.
func openToUsers(env *testscript.Env) error {
	program, err := exec.LookPath("portreporter")
	if err != nil {
		return err
	}
	bin, home := filepath.Dir(program), filepath.Join(env.WorkDir, "home")
	env.Setenv("TMPDIR", os.TempDir())
	return errors.Join(os.Chmod(bin, 0o755), os.Chmod(filepath.Dir(bin), 0o755), os.Chmod(env.WorkDir, 0o755),
		os.Chmod(filepath.Dir(env.WorkDir), 0o755), os.Mkdir(home, 0o755), os.Chown(home, nobody, nobody))
}

// nobody is the user that owns nothing.
const nobody = 65534

// user is exec as nobody, in the server's namespace, beyond which such a user
// does not see, and without the record's directory in the environment.
func (b *stage) user(ts *testscript.TestScript, neg bool, args []string) {
	as := []string{fmt.Sprintf("--reuid=%d", nobody), fmt.Sprintf("--regid=%d", nobody), "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
		"env", "-u", "PORTREPORTER_DIR", "-u", "PORTREPORTER_CONTROL_PATH", "-u", "XDG_RUNTIME_DIR", "-u", "XDG_STATE_HOME", "HOME=" + ts.MkAbs("home")}
	var err error
	b.ns.Do(func() { err = ts.Exec("setpriv", append(as, args...)...) })
	if (err != nil) != neg {
		ts.Fatalf("user %s: %v", strings.Join(args, " "), err)
	}
}

// stage is what a script has running.
type stage struct {
	ns *testutil.NetNS

	recorder *exec.Cmd
	notify   *net.UnixConn // what the recorder tells its service manager
	seen     chan *activity.Event

	server  *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Scanner
}

// close ends what the script left running.
func (b *stage) close() {
	for _, c := range []*exec.Cmd{b.server, b.recorder} {
		if c != nil {
			c.Process.Kill()
			c.Wait()
		}
	}
	if b.notify != nil {
		b.notify.Close()
	}
}

func (b *stage) record(ts *testscript.TestScript, neg bool, args []string) {
	if neg || b.recorder != nil {
		ts.Fatalf("record: one recorder at a time, and it must start")
	}
	path := ts.MkAbs("notify.sock")
	os.Remove(path)
	var err error
	b.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ts.Check(err)
	log, err := os.Create(ts.MkAbs("record.log"))
	ts.Check(err)
	defer log.Close()
	printed, err := os.Create(ts.MkAbs("record.out"))
	ts.Check(err)
	defer printed.Close()
	c := exec.Command("portreporter", append([]string{"record"}, args...)...)
	c.Stderr, c.Stdout, c.Dir = log, printed, ts.MkAbs(".")
	c.Env = append(os.Environ(), "NOTIFY_SOCKET="+path, "HOME="+ts.Getenv("HOME"))
	for _, s := range settings() {
		c.Env = append(c.Env, s.env()+"="+ts.Getenv(s.env()))
	}
	ts.Check(c.Start())
	b.recorder = c
	if err := b.hear("READY=1"); err != nil {
		said, _ := os.ReadFile(ts.MkAbs("record.log"))
		ts.Fatalf("record: it does not begin: %v\n%s", err, said)
	}
	b.follow(ts)
}

// hear waits until the recorder tells its service manager a word.
func (b *stage) hear(word string) error {
	if err := b.notify.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	for buf := make([]byte, 4096); ; {
		n, err := b.notify.Read(buf)
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", word, err)
		}
		if string(buf[:n]) == word {
			return nil
		}
	}
}

// follow begins to collect what is recorded.
func (b *stage) follow(ts *testscript.TestScript) {
	c, err := control.Dial(context.Background(), ts.Getenv("PORTREPORTER_CONTROL_PATH"))
	ts.Check(err)
	b.seen = make(chan *activity.Event, 1024)
	began := make(chan struct{})
	go func() {
		defer close(b.seen)
		first := true
		for e, err := range c.Follow(context.Background(), 1) {
			if first { // the newest on record comes at once
				close(began)
				first = false
			}
			if err != nil {
				return
			}
			b.seen <- e
		}
	}()
	select {
	case <-began:
	case <-time.After(patience):
		ts.Fatalf("record: nothing is on record")
	}
}

// recorded waits until n events of a kind are on record whose owner is the server.
func (b *stage) recorded(ts *testscript.TestScript, k activity.Kind, n int) {
	if b.recorder == nil {
		return
	}
	timeout := time.After(patience)
	for n > 0 {
		select {
		case e, ok := <-b.seen:
			if !ok {
				ts.Fatalf("shop: the recorder ended")
			}
			if e.Kind == k && e.Owner.PID == uint32(b.server.Process.Pid) {
				n--
			}
		case <-timeout:
			ts.Fatalf("shop: %d %s events more should be on record", n, k)
		}
	}
}

func (b *stage) endRecorder(ts *testscript.TestScript, neg bool, args []string) {
	sig := syscall.SIGTERM
	if len(args) == 1 && args[0] == "SIGINT" {
		sig = syscall.SIGINT
	} else if neg || len(args) > 0 || b.recorder == nil {
		ts.Fatalf("usage: end [SIGINT], when a recorder runs")
	}
	ts.Check(b.recorder.Process.Signal(sig))
	ts.Check(b.hear("STOPPING=1"))
	for range b.seen { // the follower's end
	}
	err := b.recorder.Wait()
	b.recorder = nil
	ts.Check(b.notify.Close())
	ts.Check(err)
}

// shop has the server do something, and waits until it is on record.
func (b *stage) shop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || (args[0] == "open") != (b.server == nil) {
		ts.Fatalf("usage: shop open ADDRESS [NAME]; then shop visit [N], share, call ADDRESS, close")
	}
	switch word := args[0]; word {
	case "open":
		b.open(ts, args[1:])
		b.recorded(ts, activity.KindListen, 1)
	case "visit":
		n := 1
		if len(args) > 1 {
			var err error
			n, err = strconv.Atoi(args[1])
			ts.Check(err)
		}
		for range n {
			b.order(ts, word, "done")
		}
		b.recorded(ts, activity.KindClose, 2*n)
	case "share":
		b.order(ts, word, "done")
	case "call":
		b.order(ts, strings.Join(args, " "), "refused")
		b.recorded(ts, activity.KindConnectFailed, 1)
	case "close":
		b.order(ts, word, "done")
		b.recorded(ts, activity.KindUnlisten, 1)
		ts.Check(b.orders.Close())
		ts.Check(b.server.Wait())
		b.server = nil
	}
}

func (b *stage) open(ts *testscript.TestScript, args []string) {
	b.server = exec.Command("webshop")
	if len(args) == 2 {
		name, err := strconv.Unquote(`"` + args[1] + `"`)
		ts.Check(err)
		b.server.Args = append(b.server.Args, name)
	}
	var err error
	b.orders, err = b.server.StdinPipe()
	ts.Check(err)
	out, err := b.server.StdoutPipe()
	ts.Check(err)
	b.answers = bufio.NewScanner(out)
	ts.Check(b.ns.Start(b.server))
	ts.Setenv("SHOP", strconv.Itoa(b.server.Process.Pid))
	b.order(ts, "open "+args[0], "done")
}

// order gives an order, and wants an answer with a word.
func (b *stage) order(ts *testscript.TestScript, order, want string) {
	_, err := fmt.Fprintln(b.orders, order)
	ts.Check(err)
	if !b.answers.Scan() {
		ts.Fatalf("shop: no answer to %q: %v", order, errors.Join(b.answers.Err(), io.EOF))
	}
	if got := b.answers.Text(); !strings.Contains(got, want) {
		ts.Fatalf("shop: %s: %s", order, got)
	}
}
