package foreign

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/portreporter/portreporter/internal/activity"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, r io.Reader) *Input {
	t.Helper()
	in, err := Open(r)
	must(t, err)
	t.Cleanup(in.Close)
	return in
}

// read returns the events of a log in one line each, and its errors.
func read(t testing.TB, f Format, text string, opt Options) (events, errs []string) {
	t.Helper()
	for e, err := range Events(f, open(t, strings.NewReader(text)), opt) {
		if err != nil {
			errs = append(errs, err.Error())
			continue
		}
		events = append(events, brief(t, e))
	}
	return events, errs
}

func brief(t testing.TB, e *activity.Event) string {
	if e.Tier != activity.TierImport {
		t.Errorf("tier %s", e.Tier)
	}
	s := fmt.Sprintf("%s %s %s %v %v", e.When().Format("15:04:05.999999999"), e.Kind, e.Proto, e.Local, e.Remote)
	if p := e.Process; p != nil {
		s += fmt.Sprintf(" %s[%d] %s", p.Name, p.Key.PID, p.User)
	}
	if e.Kind.Ends() {
		s += fmt.Sprintf(" rx=%d/%d tx=%d/%d for %d", e.Rx, e.RxPackets, e.Tx, e.TxPackets, e.Duration)
	}
	if e.Reason != 0 {
		s += " " + e.Reason.String()
	}
	if e.Provenance != activity.Observed {
		s += " " + e.Provenance.String()
	}
	return s
}

func utf16Text(s string, order binary.AppendByteOrder, mark bool) []byte {
	var b []byte
	if mark {
		b = order.AppendUint16(b, 0xfeff)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

func compressed(t testing.TB, s string) (gz, zst []byte) {
	t.Helper()
	var a, b bytes.Buffer
	g := gzip.NewWriter(&a)
	z, err := zstd.NewWriter(&b)
	must(t, err)
	for _, w := range []io.WriteCloser{g, z} {
		_, err := io.WriteString(w, s)
		must(t, err)
		must(t, w.Close())
	}
	return a.Bytes(), b.Bytes()
}

// However a log was stored, it reads the same.
func TestOpen(t *testing.T) {
	const text = "<Event>grün 🙂\r\n"
	gz, zst := compressed(t, text)
	gz16, _ := compressed(t, string(utf16Text(text, binary.LittleEndian, true)))
	for name, b := range map[string][]byte{
		"plain": []byte(text), "mark": []byte("\xef\xbb\xbf" + text), "gzip": gz, "zstd": zst, "two gzip members": nil,
		"utf-16 le": utf16Text(text, binary.LittleEndian, true), "utf-16 be": utf16Text(text, binary.BigEndian, true),
		"utf-16 le without a mark": utf16Text(text, binary.LittleEndian, false), "utf-16 be without a mark": utf16Text(text, binary.BigEndian, false),
		"gzip of utf-16": gz16,
	} {
		want := text
		if b == nil {
			b, want = append(bytes.Clone(gz), gz...), text+text // a rotated log that was appended to
		}
		for _, r := range []io.Reader{bytes.NewReader(b), iotest.OneByteReader(bytes.NewReader(b))} {
			got, err := io.ReadAll(open(t, r))
			if err != nil || string(got) != want {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	}
}

func TestOpenBroken(t *testing.T) {
	gz, zst := compressed(t, strings.Repeat("a line of text\n", 1000))
	for name, b := range map[string][]byte{"gzip": gz[:len(gz)/2], "zstd": zst[:len(zst)/2], "gzip head": gz[:5]} {
		in, err := Open(bytes.NewReader(b))
		if err == nil {
			_, err = io.ReadAll(in)
			in.Close()
		}
		if err == nil {
			t.Errorf("%s cut in half is no error", name)
		}
	}
	if _, err := Open(iotest.ErrReader(errors.New("disk on fire"))); err == nil {
		t.Error("no error")
	}
	if in, err := Open(strings.NewReader("")); err != nil {
		t.Error(err)
	} else if b, err := io.ReadAll(in); len(b) > 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestDetect(t *testing.T) {
	for text, want := range map[string]Format{
		"Port Reporter Version 1.01 Log File\n": Classic, "05/7/6,13:52:1,TCP,80,0.0.0.0,,0.0.0.0": Classic, "2005/07/06,1:1:1,": Classic,
		zeekHead: Zeek, "#fields\tts\tuid": Zeek, strings.Replace(zeekHead, "\tconn\n", "\tdns\n", 1): Unknown, strings.Replace(zeekHead, "\tconn\n", "\tconn-summary\n", 1): Unknown,
		`{"ts":1.5,"uid":"C1","id.orig_h":"10.0.0.1","conn_state":"SF"}`: Zeek, `{"ts":1.5,"id":{"orig_h":"10.0.0.1"},"conn_state":"SF"}`: Zeek,
		`{"ts":1.5,"uid":"C1","id.orig_h":"10.0.0.1","query":"example.com"}`: Unknown,
		sysmonLog: Sysmon, "\n\n<?xml version=\"1.0\"?><Events>" + sysmonLog: Sysmon,
		"": Unknown, "date,time": Unknown, "{}": Unknown, "<html><Event>": Unknown, "1,2,3": Unknown, "05-7-6,": Unknown,
	} {
		if got := Detect([]byte(text)); got != want {
			t.Errorf("%.40q is %s, want %s", text, got, want)
		}
	}
}

func TestMissing(t *testing.T) {
	for _, f := range []Format{Classic, Sysmon, Zeek} {
		if len(f.Missing()) == 0 || f.String() == "unknown" {
			t.Errorf("%s misses nothing", f)
		}
	}
	if Unknown.Missing() != nil {
		t.Error("an unknown format")
	}
}

// A line that is longer than any of ours costs itself and no memory.
func TestLongLine(t *testing.T) {
	long := strings.Repeat("x", 3*maxLine)
	events, errs := read(t, Zeek, zeekHead+zeekRow(1)+long+"\n"+zeekRow(2), Options{})
	if len(events) != 4 || len(errs) != 1 || !strings.HasPrefix(errs[0], "line 9: longer than 1 MiB: \"xxx") {
		t.Errorf("%d events, errors %.200q", len(events), errs)
	}
	if len(errs) == 1 && len(errs[0]) > 300 {
		t.Errorf("the error has %d bytes", len(errs[0]))
	}
	_, errs = read(t, Zeek, zeekHead+long, Options{})
	if len(errs) != 1 {
		t.Errorf("errors %.200q", errs)
	}
}

// What fails while it is read is told last.
func TestReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	for f, text := range map[Format]string{Zeek: zeekHead + zeekRow(1), Sysmon: sysmonLog} {
		var last error
		n := 0
		for e, err := range Events(f, open(t, io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))), Options{}) {
			if last = err; e != nil {
				n++
			}
		}
		if !errors.Is(last, broken) || n == 0 {
			t.Errorf("%s: %d events, then %v", f, n, last)
		}
	}
}

func diff(t *testing.T, what string, want, got []string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: -want +got\n%s", what, d)
	}
}

// Whatever a file holds, opening and reading it ends, and what is stored plainly
// comes through as it is.
func FuzzOpen(f *testing.F) {
	gz, zst := compressed(f, "Port Reporter Version 1.01\n")
	for _, b := range [][]byte{gz, zst, gz[:9], zst[:7], []byte("plain\n"), []byte("\xff\xfea\x00"), []byte("a\x00b\x00"), []byte("\x00a"), {}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		defer in.Close()
		head, _ := in.Head()
		head = bytes.Clone(head)
		got, err := io.ReadAll(io.LimitReader(in, 1<<22)) // a bomb may say more
		if err == nil && !bytes.HasPrefix(got, head) {
			t.Fatalf("head %q of %q", head, got)
		}
		if len(b) > 0 && b[0] >= ' ' && b[0] < 0x7f && !bytes.Contains(b, []byte{0}) && !bytes.Equal(got, b) {
			t.Fatalf("%q reads as %q", b, got)
		}
	})
}
