package foreign

import (
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/portreporter/portreporter/internal/activity"
)

func sysmonEvent(id int, computer string, data ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Sysmon' Guid='{5770385f-c22a-43e0-bf4c-06f5698ffbd9}'/>`+
		`<EventID>%d</EventID><Version>5</Version><TimeCreated SystemTime='2026-01-01T00:00:09.5000000Z'/><EventRecordID>7</EventRecordID><Computer>%s</Computer><Security UserID='S-1-5-18'/></System><EventData>`, id, computer)
	for i := 0; i+1 < len(data); i += 2 {
		fmt.Fprintf(&b, "<Data Name='%s'>%s</Data>", data[i], data[i+1])
	}
	return b.String() + "</EventData></Event>"
}

func sysmonConn(pairs ...string) string {
	fields := []string{"RuleName", "-", "UtcTime", "2026-01-01 00:00:08.125", "ProcessGuid", "{a98268c1-957f-5acd-0000-0010eb030000}", "ProcessId", "4242",
		"Image", `C:\Program Files\A &amp; B\app.exe`, "User", `CORP\alice`, "Protocol", "tcp", "Initiated", "true", "SourceIsIpv6", "false", "SourceIp", "10.0.0.1",
		"SourceHostname", "ws1.corp", "SourcePort", "50000", "SourcePortName", "-", "DestinationIsIpv6", "false", "DestinationIp", "192.0.2.7", "DestinationHostname", "-",
		"DestinationPort", "443", "DestinationPortName", "https"}
	for i := 0; i+1 < len(pairs); i += 2 {
		for j := 0; j < len(fields); j += 2 {
			if fields[j] == pairs[i] {
				fields[j+1] = pairs[i+1]
			}
		}
	}
	return sysmonEvent(3, "ws1.corp", fields...)
}

var sysmonLog = sysmonConn() + "\n" + sysmonConn("Initiated", "false", "SourceIp", "192.0.2.9", "SourcePort", "40000", "DestinationIp", "10.0.0.1", "DestinationPort", "3389")

func TestSysmon(t *testing.T) {
	want := []string{`00:00:08.125 connect tcp 10.0.0.1:50000 192.0.2.7:443 app.exe[4242] CORP\alice`, `00:00:08.125 accept tcp 10.0.0.1:3389 192.0.2.9:40000 app.exe[4242] CORP\alice`}
	for name, text := range map[string]string{
		"as wevtutil writes it": sysmonLog, "with a root": "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<Events>" + sysmonLog + "</Events>",
		"pretty":             strings.ReplaceAll(strings.ReplaceAll(sysmonLog, "><", ">\r\n  <"), "'", `"`),
		"with other events":  sysmonEvent(1, "ws1.corp", "Image", "x") + sysmonLog + sysmonEvent(22, "ws1.corp"),
		"rendered with text": strings.ReplaceAll(sysmonLog, "</EventData>", "</EventData><RenderingInfo Culture='en-US'><Message>Network connection detected</Message></RenderingInfo>"),
	} {
		got, errs := read(t, Sysmon, text, Options{})
		diff(t, name, want, got)
		diff(t, name+": errors", nil, errs)
	}
}

func TestSysmonFields(t *testing.T) {
	tests := []struct {
		name, text string
		want, err  string
	}{
		{"udp", sysmonConn("Protocol", "udp"), `00:00:08.125 flow udp 10.0.0.1:50000 192.0.2.7:443 app.exe[4242] CORP\alice`, ""},
		{"ipv6", sysmonConn("SourceIp", "fe80:0:0:0:1:2:3:4", "DestinationIp", "0:0:0:0:0:ffff:c000:207"), `00:00:08.125 connect tcp [fe80::1:2:3:4]:50000 192.0.2.7:443 app.exe[4242] CORP\alice`, ""},
		{"System", sysmonConn("Image", "System", "ProcessId", "4"), `00:00:08.125 connect tcp 10.0.0.1:50000 192.0.2.7:443 System[4] CORP\alice`, ""},
		{"unknown process", sysmonConn("Image", "&lt;unknown process&gt;", "User", "-", "ProcessGuid", "-"), "00:00:08.125 connect tcp 10.0.0.1:50000 192.0.2.7:443", ""},
		{"no UtcTime", sysmonConn("UtcTime", "-"), `00:00:09.5 connect tcp 10.0.0.1:50000 192.0.2.7:443 app.exe[4242] CORP\alice`, ""},
		{"bad address", sysmonConn("SourceIp", "ten"), "", "line 1: source: bad address or port"},
		{"bad protocol", sysmonConn("Protocol", "sctp"), "", "line 1: protocol: "},
		{"bad pid", sysmonConn("ProcessId", "0x12"), "", "line 1: bad ProcessId"},
		{"bad XML", strings.Replace(sysmonConn(), "<Computer>", "<Computer", 1), "", "line 1: bad XML: "},
		{"cut short", sysmonConn()[:700], "", "line 1: event is cut short"},
	}
	for _, tt := range tests {
		got, errs := read(t, Sysmon, tt.text, Options{})
		if tt.want != "" {
			diff(t, tt.name, []string{tt.want}, got)
		} else if len(got) > 0 {
			t.Errorf("%s: %q", tt.name, got)
		}
		if tt.err == "" != (len(errs) == 0) || len(errs) > 0 && !strings.HasPrefix(errs[0], tt.err) {
			t.Errorf("%s: errors %.200q", tt.name, errs)
		}
	}
}

// An event that was cut short, or is endless, costs itself; its line is told.
func TestSysmonResync(t *testing.T) {
	text := "\n" + sysmonConn() + "\n" + sysmonConn()[:500] + "\n" + sysmonConn() + "\n<Event>" + strings.Repeat("<Data>", 300000) + "\n" + sysmonConn()
	events, errs := read(t, Sysmon, text, Options{})
	if len(events) != 3 || len(errs) != 2 || !strings.HasPrefix(errs[0], "line 3: event is cut short") || !strings.HasPrefix(errs[1], "line 5: event is longer than 1 MiB") {
		t.Errorf("%d events, errors %.100q", len(events), errs)
	}
	n := 0
	for _, err := range Events(Sysmon, open(t, iotest.OneByteReader(strings.NewReader(sysmonLog))), Options{}) {
		must(t, err)
		n++
	}
	if n != 2 {
		t.Errorf("%d events byte by byte", n)
	}
}

func TestSysmonHosts(t *testing.T) {
	var skipped Skipped
	text := sysmonConn() + strings.ReplaceAll(sysmonConn(), "<Computer>ws1.corp", "<Computer>dc1.corp") + sysmonEvent(5, "ws1.corp")
	events, _ := read(t, Sysmon, text, Options{Host: "WS1.corp", Skipped: &skipped})
	if len(events) != 1 || skipped != (Skipped{Other: 1, Foreign: 1}) {
		t.Errorf("%d events, skipped %+v", len(events), skipped)
	}
	if c := ComputerOf([]byte(text[:800])); c != "" {
		t.Errorf("half an event is of %q", c)
	}
	if c := ComputerOf([]byte(text)); c != "ws1.corp" {
		t.Errorf("computer %q", c)
	}
}

// One process is one, and its GUID tells when it began.
func TestSysmonProcess(t *testing.T) {
	var ps []*activity.Process
	for e, err := range Events(Sysmon, open(t, strings.NewReader(sysmonLog+sysmonConn("ProcessGuid", "{a98268c1-957f-5ace-0000-0010eb030000}"))), Options{}) {
		must(t, err)
		ps = append(ps, e.Process)
	}
	if ps[0] != ps[1] || ps[0].ID == ps[2].ID {
		t.Errorf("processes %+v", ps)
	}
	if ps[0].Start != 0x5acd957f*1e9 || ps[0].Exe != `C:\Program Files\A & B\app.exe` || ps[0].UID != activity.NoID {
		t.Errorf("process %+v", ps[0])
	}
	for _, g := range []string{"", "{}", "{1-2-3-4-5}", "{a98268c1-zzzz-5ace-0000-0010eb030000}"} {
		if guidStart(g) != 0 {
			t.Errorf("%q has a start", g)
		}
	}
}

func FuzzSysmon(f *testing.F) {
	f.Add(sysmonLog)
	f.Add("<Events>\n<Event ><Event>" + sysmonConn("Protocol", "udp")[:400])
	f.Fuzz(func(t *testing.T, text string) {
		whole := 0
		for e, err := range Events(Sysmon, open(t, strings.NewReader(text)), Options{}) {
			if err == nil {
				checkWhole(t, e)
				whole++
			}
		}
		if n := strings.Count(text, "</Event>"); whole > n {
			t.Fatalf("%d events of %d", whole, n)
		}
	})
}

func BenchmarkSysmon(b *testing.B) {
	text := strings.Repeat(sysmonLog, 2000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range Events(Sysmon, open(b, strings.NewReader(text)), Options{}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
