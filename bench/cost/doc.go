// Command cost measures what a recorder costs those who use the network: the
// same load alone, under `portreporter record` with everything on, and under
// tcplife of libbpf-tools, in turn and in a random order within each round.
//
//	go run ./bench/cost                        nine rounds of the two TCP loads
//	go run ./bench/cost -load "udp 50000"      another load; may be repeated
//	go run ./bench/cost -variants none,record  without tcplife
//	go run ./bench/cost -variants none,record,other -other '/opt/before record --dir {dir}/record --control-path {dir}/control'
//	                                           a change beside what was before
//
// Each load runs in a network namespace of its own, client and server pinned to
// a processor each, so the recorder competes with both. Told are ratios of each
// round to its own run without a recorder: of the processor time of both ends,
// of the wall time, and of the whole machine's processor time. The machine must
// be at rest; as root, on Linux.
package main
