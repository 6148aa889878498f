package prlog

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

func localSockets() []activity.Socket {
	at := netip.MustParseAddrPort
	dns := &activity.Process{Name: "named", Exe: "/usr/sbin/named", Key: activity.ProcessKey{PID: 700}, Unit: activity.Unit{Name: "named.service", Description: "BIND"}}
	return []activity.Socket{
		{Proto: activity.UDP, State: activity.StateBound, Local: at("127.0.0.1:53"), Owner: dns.Key, Process: dns},
		{Proto: activity.TCP, State: activity.StateListen, Local: at("127.0.0.1:53"), Owner: dns.Key, Process: dns},
		{Proto: activity.TCP, State: activity.StateTimeWait, Local: at("10.0.0.1:40000"), Remote: at("10.0.0.2:80")},
	}
}

func TestMappings(t *testing.T) {
	want := "Heading\n\n3 mappings found\n\n" +
		"PID:Process\tPort     \tLocal IP       \tState       \tRemote IP:Port\n" +
		"0\tTCP 40000\t10.0.0.1       \tTIME WAIT   \t10.0.0.2:80\n" +
		"700:named\tTCP 53   \t127.0.0.1      \tLISTENING   \t0.0.0.0\n" +
		"700:named\tUDP 53   \t127.0.0.1      \t            \t*:*\n\n" +
		"Port Statistics\n\nTCP mappings: 2\nUDP mappings: 1\n\n" +
		"TCP ports in a LISTENING state: \t1 = 50.00%\nTCP ports in a TIME WAIT state: \t1 = 50.00%\n\n"
	if d := cmp.Diff(want, string(AppendMappings(nil, "Heading", localSockets()))); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestDetails(t *testing.T) {
	socks := localSockets()[:2]
	set := &activity.ModuleSet{ID: 1, Modules: []activity.Module{{Path: "/lib/libc.so.6", Base: 0x7f0000}, {Path: "/usr/sbin/named", Base: 0x400000}}}
	head := "======================================================\n\nProcess ID: 700 (named)\n\n"
	table := "PID\tPort     \tLocal IP       \tState       \tRemote IP:Port\n" +
		"700\tTCP 53   \t127.0.0.1      \tLISTENING   \t0.0.0.0\n" +
		"700\tUDP 53   \t127.0.0.1      \t            \t*:*\n\n" +
		"Port Statistics\n\nTCP mappings: 1\nUDP mappings: 1\n\nTCP ports in a LISTENING state: \t1 = 100.00%\n\n"
	services := "Service Name: named.service\nDisplay Name: BIND\nService Type: runs in its own process\n\n"
	modules := "Loaded modules:\n/usr/sbin/named (0x00400000)\n\n/lib/libc.so.6 (0x007F0000)\n\n"
	if d := cmp.Diff(head+table, string(AppendDetails(nil, 700, socks[0].Process, socks, set, PortsOnly))); d != "" {
		t.Errorf("ports only: -want +got\n%s", d)
	}
	if d := cmp.Diff(head+services+table+modules, string(AppendDetails(nil, 700, socks[0].Process, socks, set, Everything))); d != "" {
		t.Errorf("everything: -want +got\n%s", d)
	}
	none := "======================================================\n\nProcess ID: 4\n\nPort Statistics\n\nTCP mappings: 0\nUDP mappings: 0\n\n"
	if d := cmp.Diff(none, string(AppendDetails(nil, 4, nil, nil, nil, PortsOnly))); d != "" {
		t.Errorf("unknown: -want +got\n%s", d)
	}
}
