// Package bpf is the ebpf capture tier of Linux: it loads the programs under
// src into the kernel, attaches them hook by hook, and turns the records they
// write into observations.
//
// The C sources are compiled by go generate; the objects are committed, so a
// build needs no compiler.
package bpf
