# make help lists the targets.

# How `make demo` captures inbound connections: redirect or tproxy.
INTERCEPT ?= redirect
# How long `make fuzz` runs each fuzz target.
FUZZTIME ?= 10s

# Go stamps commits into binaries and fails where git refuses to read the
# checkout, which it does when another user owns it.
ifneq ($(shell git status --porcelain >/dev/null 2>&1 && echo readable),readable)
export GOFLAGS := $(GOFLAGS) -buildvcs=false
endif

.DEFAULT_GOAL := help
.PHONY: help build demo test lint bench fuzz clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

build: ## build bin/sluice, one static binary
	CGO_ENABLED=0 go build -trimpath -o bin/sluice ./cmd/sluice

demo: build ## show sluice at work in three network namespaces; INTERCEPT=tproxy for TPROXY
	@scripts/install-tools demo
	CGO_ENABLED=0 go build -trimpath -o bin/demo ./demo
	bin/demo -intercept $(INTERCEPT) -sluice bin/sluice

test: ## run all tests, end-to-end ones in network namespaces included
	@scripts/install-tools test
	@scripts/test

lint: ## go vet, staticcheck, gofmt, go mod tidy, the rules of internal/lint
	@scripts/lint

bench: ## run the Go benchmarks (the load harness, sluicebench, is yet to come)
	go test -run '^$$' -bench . -benchmem ./...

fuzz: ## run each fuzz target for FUZZTIME (10s)
	@scripts/fuzz $(FUZZTIME)

clean: ## remove what was built
	rm -rf bin
