package cli

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/prlog"
	"github.com/portreporter/portreporter/internal/recorder"
)

// How many processes a second are asked for their modules for the sake of the
// classic logs alone. More than that begin to listen only where something is
// wrong, and then the recorder is needed elsewhere.
const classicPerSecond = 20

func (r *recording) openClassic(age time.Duration) (err error) {
	dir := r.cfg.ClassicDir
	if dir == "" {
		dir = filepath.Join(r.cfg.Dir, "classic")
	}
	r.classic, err = prlog.New(prlog.Config{Dir: dir, MaxBytes: r.cfg.ClassicMaxBytes, MaxAge: age, MaxTotal: r.cfg.RetentionBytes / 8,
		Host: r.host, OS: osName(), Modules: r.cfg.ClassicModules, Ports: r.cfg.ClassicPorts, ModuleSet: r.found.moduleSet, Snapshot: r.sockets})
	r.classicQ, r.first = recorder.NewQueue(8192), make(chan []activity.Socket, 1)
	return err
}

// runClassic writes the classic logs, on a goroutine of its own: for a
// section's table it asks the recorder, which must never wait for it.
func (r *recording) runClassic(ctx context.Context) {
	select {
	case table := <-r.first:
		for i := range table {
			table[i].Process = r.whole(ctx, table[i].Process)
		}
		r.check("classic logs", r.classic.Start(table))
	case <-ctx.Done():
		return
	}
	second, asked := time.Time{}, 0
	r.classicQ.Run(ctx, func(e *activity.Event) {
		if now := time.Now(); now.Sub(second) >= time.Second {
			second, asked = now, 0
		}
		if e.Process != nil && e.Process.Modules == 0 && asked < classicPerSecond {
			asked++
			e.Process = r.whole(ctx, e.Process)
		}
		r.writeClassic(e)
	}, r.flushClassic)
}

// whole is p with its modules. The recorder looks for those of a process that
// lives on, a second or more after its first event; a section is about the
// first event most of the time.
func (r *recording) whole(ctx context.Context, p *activity.Process) *activity.Process {
	if p == nil || p.Modules != 0 || p.Kernel {
		return p
	}
	if known := r.found.process(p); known != nil {
		return known
	}
	full, set, err := r.resolver.Deep(ctx, p)
	if err != nil || full == nil {
		full = p // not to be asked again
	}
	r.found.keep(full, set)
	return full
}

// sockets is the recorder's table; nil while it is stopping.
func (r *recording) sockets() (socks []activity.Socket) {
	for s, err := range r.rec.Sockets(context.Background()) {
		if err != nil {
			return nil
		}
		socks = append(socks, *s)
	}
	return socks
}

func (r *recording) writeClassic(e *activity.Event) {
	table := func(pid uint32) []activity.Socket {
		socks, _ := r.rec.Of(context.Background(), pid) // on shutdown the section goes without
		return socks
	}
	r.check("classic logs", r.classic.Event(e, table, r.found.moduleSet))
}

func (r *recording) flushClassic() { r.check("classic logs", r.classic.Flush()) }

// osName is what the classic logs call the operating system.
func osName() string {
	if name := linuxName("/etc/os-release"); name != "" {
		return name
	}
	return runtime.GOOS
}

// linuxName gives PRETTY_NAME of os-release(5), "" if there is none.
func linuxName(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if v, ok := strings.CutPrefix(sc.Text(), "PRETTY_NAME="); ok {
			if u, err := strconv.Unquote(v); err == nil {
				return u
			}
			return v
		}
	}
	return ""
}
