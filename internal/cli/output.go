package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/term"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/render"
)

// terminal tells the width of the terminal that w is, 0 for none.
func terminal(w io.Writer) (width int) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 1 {
		return 80
	}
	return width
}

// renderOptions are those for w: colour on a terminal only, and not where
// NO_COLOR is set (no-color.org). Elsewhere COLUMNS may give a width.
func renderOptions(w io.Writer) render.Options {
	width := terminal(w)
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 && width == 0 {
		return render.Options{Location: time.Local, Now: time.Now(), Width: n}
	}
	return render.Options{Location: time.Local, Now: time.Now(), Width: width,
		Color: width > 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// eventPrinter writes events to w as they come, as text or JSON Lines. A
// reader that went away is not told again.
func eventPrinter(w io.Writer, asJSON bool) func(*activity.Event) {
	opt := renderOptions(w)
	opt.Host, _ = os.Hostname()
	text := render.NewText(opt)
	var b []byte
	var failed error
	return func(e *activity.Event) {
		if failed != nil {
			return
		}
		if asJSON {
			b = render.AppendJSON(b[:0], e, opt)
		} else {
			b = text.Append(b[:0], e)
		}
		_, failed = w.Write(b)
	}
}

// format says how a command prints: text, JSON Lines or CSV.
type format struct{ json, csv bool }

func (f format) check(command string) error {
	if f.json && f.csv {
		return usagef("%s: --json and --csv exclude each other", command)
	}
	return nil
}

func writeAll(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return written(err)
}

func written(err error) error {
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// count writes a number of things in words: "1 event", "2 events".
func count[N int | uint64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
