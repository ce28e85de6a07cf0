# make help lists the targets.

# How `make demo` captures inbound connections: redirect or tproxy.
INTERCEPT ?= redirect
# How long `make fuzz` runs each fuzz target.
FUZZTIME ?= 10s
# How long `make soak` has everything happen at once.
DURATION ?= 60s

# Go stamps commits into binaries and fails where git refuses to read the
# checkout, which it does when another user owns it.
ifneq ($(shell git status --porcelain >/dev/null 2>&1 && echo readable),readable)
export GOFLAGS := $(GOFLAGS) -buildvcs=false
endif

.DEFAULT_GOAL := help
.PHONY: help build build-bench demo test lint bench bench-full bench-smoke bench-peers microbench pgo fuzz fuzz-smoke soak systemd reproducible sbom vuln clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

build: ## build bin/sluice, one static binary
	CGO_ENABLED=0 go build -trimpath -o bin/sluice ./cmd/sluice

build-bench: build ## build bin/sluicebench, the load harness, too
	CGO_ENABLED=0 go build -trimpath -o bin/sluicebench ./cmd/sluicebench

demo: build ## show sluice at work in three network namespaces; INTERCEPT=tproxy for TPROXY
	@scripts/install-tools demo
	CGO_ENABLED=0 go build -trimpath -o bin/demo ./demo
	bin/demo -intercept $(INTERCEPT) -sluice bin/sluice

test: ## run all tests, end-to-end ones in network namespaces included
	@scripts/install-tools test
	@scripts/test

lint: ## go vet, staticcheck, gofmt, go mod tidy, the rules of internal/lint
	@scripts/lint

bench-peers: ## install what bench compares with: nginx, HAProxy, Envoy
	@scripts/install-bench-peers

bench: build-bench ## compare with nginx, HAProxy, Envoy and no proxy, as far as they are there; under 5 minutes
	bin/sluicebench compare --form short --out bench-report

bench-full: build-bench ## the same at length, with more kinds of load; about 2 hours
	bin/sluicebench compare --form full --out bench-report

bench-smoke: build-bench ## each kind of load for a second: do all work?
	bin/sluicebench compare --form smoke --out bench-report

microbench: ## the Go benchmarks of the hot path, summed up by benchstat
	@scripts/microbench

pgo: ## make the profile that builds are optimised by, cmd/sluice/default.pgo
	@scripts/pgo

systemd: ## run the files of deploy under a real systemd, in namespaces; needs root and systemd; not in CI
	@scripts/install-tools systemd
	CGO_ENABLED=0 go test -tags systemd -count=1 -v -run '^TestSystemd$$' ./test

fuzz: ## run each fuzz target for FUZZTIME (10s)
	@scripts/fuzz $(FUZZTIME)

fuzz-smoke: ## run those of the parsers of first bytes and of the configuration for FUZZTIME (10s)
	@scripts/fuzz $(FUZZTIME) listener/inspect config/native

soak: ## everything at once for DURATION (60s), then faults repeated at full size; docs/reliability.md
	@scripts/install-tools test
	@scripts/soak $(DURATION)

reproducible: ## build sluice twice, in different places; is it the same binary? 1 to 4 minutes
	@scripts/reproducible

sbom: build ## write what bin/sluice is made of to bin/sluice.cdx.json (CycloneDX)
	@scripts/sbom bin/sluice >bin/sluice.cdx.json
	@echo bin/sluice.cdx.json

vuln: ## look for known vulnerabilities by govulncheck; needs vuln.go.dev, or GOVULNDB
	@scripts/vuln

clean: ## remove what was built
	rm -rf bin
