// Command snapshot measures how long it takes to tell who has which port: it
// opens many sockets in a network namespace of its own, and then asks
// `portreporter list`, with a recorder running and without, ss and lsof, in turn.
//
//	go run ./bench/snapshot                50,000 sockets, seven rounds
//	go run ./bench/snapshot -sockets 1000
//
// Half of the sockets are clients and half servers of connections over the
// loopback, spread over ten processes. Told are medians with the extremes, and
// the ratio to ss of the same round. As root, on Linux.
package main
