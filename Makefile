# Port Reporter. Each target is one script or one command, to be run alone too.
.PHONY: all build test check bench package test-kernels generate fuzz fmt clean

all: build

# The programs for this machine, in ./portreporter and ./portqry.
build:
	CGO_ENABLED=0 go build -trimpath -o . ./cmd/portreporter ./cmd/portqry

# All that CI runs: on a fresh Debian or Ubuntu with Go, nothing else is needed.
test:
	scripts/setup-test-deps
	scripts/check
	scripts/generate-bpf
	scripts/build
	scripts/test-package
	scripts/test

# Formatting, vet for each platform, staticcheck, import table.
check:
	scripts/check

# Binaries for each platform, .deb and .rpm, and what they are made of, in dist/.
package:
	scripts/build
	scripts/package
	scripts/sbom

# Measurements: ratios within one run, see bench/.
bench:
	scripts/setup-test-deps bench
	scripts/bench

# The capture tests on other kernels, in small virtual machines.
test-kernels:
	scripts/setup-test-deps kernels
	scripts/vm/test-kernels

# The BPF objects from their C sources; fails when they change.
generate:
	scripts/setup-test-deps
	scripts/generate-bpf

# Each fuzz target for FUZZTIME.
FUZZTIME ?= 10s
fuzz:
	scripts/fuzz $(FUZZTIME)

fmt:
	gofmt -w $$(git ls-files '*.go')

clean:
	rm -rf dist bin portreporter
