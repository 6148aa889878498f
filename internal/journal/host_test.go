package journal

import "testing"

// The host of a journal is the one that made it, whatever later writers say.
func TestReaderHost(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"web1\nx", "other"} {
		w, err := Open(Config{Dir: dir, HostName: name})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Host(); got != "web1 x" {
		t.Errorf("host %q", got)
	}
	if got := (&Reader{dir: t.TempDir()}).Host(); got != "" {
		t.Errorf("host %q of nothing", got)
	}
}
