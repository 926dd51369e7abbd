# weft: `make demo` shows it at work, `make test` proves it. Both install what they need.
# V=1 prints every command.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

Q := $(if $(V),,@)
say = @printf '  %-8s %s\n'
SUDO := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=PATH,CI,NO_COLOR)

# A Node.js of weft's own goes before the system's, once scripts/setup has brought one.
export PATH := $(CURDIR)/.node/bin:$(CURDIR)/node_modules/.bin:$(PATH)

CLANG ?= clang
CXX := g++

include bpf/build.mk
include native/build.mk
include bench/build.mk
include test/build.mk
include src/build.mk

.PHONY: help setup build test test-unit test-root bench demo lint format install uninstall clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what weft needs: packages, Node.js, npm modules
	$(Q)scripts/setup

build: ## Compile programs, addon and TypeScript into dist/
build: setup
	$(Q)$(MAKE) --no-print-directory compile

.PHONY: compile
compile: $(BPF_OUTPUTS) $(NATIVE_OUTPUT) $(BENCH_OUTPUTS) $(TS_STAMP)

demo: ## Set up, build, and watch weft trace a flannel cluster made on this machine
demo: build
	$(Q)scripts/preflight
	$(Q)$(SUDO) node dist/src/cli/main.js demo

test: ## Lint, unit tests, kernel tests, end-to-end tests in the lab, the addon under sanitizers
test: build lint
	$(Q)scripts/preflight
	$(Q)$(SUDO) scripts/run-tests
	$(Q)$(MAKE) --no-print-directory test-sanitize

test-unit: ## Only what needs no root
test-unit: build
	$(Q)scripts/run-tests --unit

bench: ## What weft costs, beside tcpdump, in one run
bench: build
	$(Q)scripts/preflight
	$(Q)$(SUDO) node dist/bench/main.js

lint: ## Formatter, linter, import order of the rooms, C and C++ style
lint: setup
	$(say) LINT
	$(Q)biome check --error-on-warnings .
	$(Q)clang-format --dry-run -Werror $(wildcard bpf/*.[ch] native/*.cc native/*.h bench/*.c)

format: ## Write what the formatter wants
format: setup
	$(Q)biome check --write .
	$(Q)clang-format -i $(wildcard bpf/*.[ch] native/*.cc native/*.h bench/*.c)

PREFIX ?= /usr/local
install: ## Put `weft` on the PATH (PREFIX=/usr/local)
install: build
	$(Q)$(SUDO) scripts/install $(PREFIX)

uninstall: ## Take it off again
	$(Q)$(SUDO) scripts/install --remove $(PREFIX)

clean: ## Remove what was built; packages stay
	$(Q)rm -rf build dist src/kernel/layout.generated.ts
