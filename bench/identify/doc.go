// Package identify measures who recognises real servers, and what is told of
// them: `portreporter query` as an ordinary user, and nmap -sV as root, in one run,
// each judged by what the server's own side knows.
//
//	go test -run '^$' -bench . ./bench/identify
//
// starts each server of Debian's that the probers are tested against, and a SQL
// Server browser of the benchmark's own, in a network namespace of its own: at its
// usual port, and at one whose number says nothing, from which the namespace's
// firewall leads there. It runs as root on Linux, with nmap installed (Debian:
// nmap), and takes some minutes, nearly all of them nmap's.
//
// A tool is right about a port that names its protocol and all facts of the truth
// table, has less with a fact missing, is silent, or wrong: another protocol, or
// something that isn't so. The benchmark fails where ours is less right than the
// other or lacks a fact that the other told, and where a usual port did not give
// each fact.
//
// The other tool's text is looked at for the words of the truth table alone, as
// is ours, and nothing of it goes into the product.
package identify
