package bpf

//go:generate go tool bpf2go -go-package bpf -tags linux -target amd64,arm64 -cc clang -strip llvm-strip -cflags "-O2 -g -Wall -Werror -mcpu=v3" -type rec -type rec_end -type rec_proc -type rec_held -type rec_live -type rec_gone -type flow -type flow_key recorder src/portreporter.bpf.c -- -Isrc
