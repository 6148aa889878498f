package prlog

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadHeader(t *testing.T) {
	date := time.Date(2005, 7, 6, 13, 44, 4, 0, time.UTC)
	for name, tt := range map[string]struct {
		text string
		want Header
	}{
		"PR-INITIAL":        {tabs(setInitial), Header{Log: LogInitial, Version: "1.01", Date: date, Computer: "TEST", OS: "Windows XP"}},
		"PR-PIDS":           {tabs(originalPIDs), Header{Log: LogPIDs, Version: "1.01", Date: date, Computer: "TEST", OS: "Windows XP"}},
		"PR-PORTS":          {wrapped, Header{Log: LogPorts, Version: "1.01", PIDsFile: "PR-PIDS-05-07-6-13-44-4.log"}},
		"head only":         {"Port Reporter Version 1.01 Log File\n\nProcess detail log\n", Header{Log: LogPIDs, Version: "1.01"}},
		"lines alone":       {"05/7/6,1:2:3,TCP,80,0.0.0.0,,0.0.0.0,7,a.exe,<X>\n", Header{Log: LogPorts}},
		"sections alone":    {"\n" + rule + "\n\nLog number: 7\n", Header{Log: LogPIDs}},
		"something else":    {"hello\nSystem Date: Wed Jul 06 13:44:04 2005\n", Header{}},
		"nothing":           {"", Header{}},
		"endless":           {strings.Repeat("Operating System: x\n", 1000), Header{OS: "x"}},
		"a line of a MiB":   {strings.Repeat("x", 1<<20), Header{}},
		"the head goes on ": {strings.Repeat("\n", 60) + "Time zone: CET (UTC+01:00)\n", Header{Zone: "CET (UTC+01:00)"}},
	} {
		got, err := ReadHeader(strings.NewReader(tt.text), time.UTC)
		if d := cmp.Diff(tt.want, got); d != "" || err != nil {
			t.Errorf("%s: %v: -want +got\n%s", name, err, d)
		}
	}
	broken := errors.New("disk on fire")
	if _, err := ReadHeader(iotest.ErrReader(broken), nil); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestHeaderLocation(t *testing.T) {
	date := time.Date(2026, 7, 6, 13, 0, 0, 0, time.UTC)
	here := date.In(time.Local).Format("MST (UTC-07:00)")
	if l := (&Header{Zone: here, Date: date}).Location(); l != time.Local {
		t.Errorf("%s is %v", here, l)
	}
	h := &Header{Zone: "XYZ (UTC-11:30)", Date: date}
	if _, offset := date.In(h.Location()).Zone(); offset != -(11*3600 + 1800) {
		t.Errorf("offset %d", offset)
	}
	for _, zone := range []string{"", "CET", "CET (UTC+1)", "(UTC"} {
		if l := (&Header{Zone: zone, Date: date}).Location(); l != nil {
			t.Errorf("%q is %v", zone, l)
		}
	}
}
