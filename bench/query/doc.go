// Package query measures how long the test of many ports takes beside nmap, with
// the same verdicts: a network of the benchmark's own, both by turns.
//
//	go test -run '^$' -bench . -benchtime 5x ./bench/query
//
// runs five rounds of each case, as root, with nmap installed (Debian: nmap), and
// prints the ratio of the medians and nmap's own summary of what it found. Ours
// runs as an ordinary user. The cases:
//
//   - Near: 65,535 TCP ports of a host at the other end of a veth pair, of which 27
//     are open, 2 silent and 3 rejected;
//   - Far: the same over a link with a round trip of 50 ms;
//   - Dropped: 10,000 TCP ports of which a firewall drops all but 11;
//   - Limited: 2,000 UDP ports of a host that sends 1,000 ICMP errors a second;
//   - Domain: the group Domains and Trusts at a Samba domain controller (Debian:
//     samba-ad-dc), the whole command, without nmap, and whether all answered;
//   - Everything: that controller and some thirty servers more, all at once, the
//     same way.
//
// nmap's output is shown to who measures and read by nothing.
package query
