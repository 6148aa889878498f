// Command disk measures how many bytes of disk an event takes: it records what
// the generator does, ends the recorder, and divides the bytes of each kind of
// file by the events that `portreporter events` then tells.
//
//	go run ./bench/disk
//	go run ./bench/disk -load "-data 64 tcp 50000" -load "udp 20000"
//
// As root, on Linux.
package main
