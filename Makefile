# SPDX-License-Identifier: Apache-2.0
# The two commands are `make demo` and `make test`; `make help` lists the others.
# Meson does the building: this file only puts the steps in order.

BUILD ?= build
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 600
SOAK_MINUTES ?= 60
SEEDS ?= 1:100000
DROPS_CLIENTS ?= 2000
ROUNDS ?= 5
JOBS ?= 8
SEED ?= 1
NOISE ?= 0.3
DROPS_MINUTES ?= 3
DROPS = tests/drops/drops-box tests/drops/drops-clients
MESON_FLAGS ?= -Dbuildtype=release
VERSION := $(shell sed -n "s/.*version: '\([0-9.]*\)', license.*/\1/p" meson.build)

.PHONY: help build demo test bench fuzz swarm soak drops herd matrix lint install clean deps
.DEFAULT_GOAL := build

help: ## say what there is
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | expand -t 10

deps:
	@tools/install-deps build

build: deps ## build build/holdfast and libholdfast (release)
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) --prefix $(PREFIX) $(MESON_FLAGS)
	@ninja -C $(BUILD) holdfast library

demo: build ## show what it does, in at most a minute
	@$(BUILD)/holdfast demo

test: ## run every test; ends with `N passed, N failed`
	@tools/install-deps build test
	@tests/run

bench: ## compare with nginx, HAProxy and a byte forwarder, about 10 minutes
	@tools/install-deps build bench
	@$(MAKE) --no-print-directory build
	@ninja -C $(BUILD) bench/bench-load bench/bench-backend bench/bench-forwarder
	@bench/bench.py

fuzz: ## run libFuzzer for FUZZ_SECONDS (600)
	@tools/install-deps build test
	@tests/fuzz/run $(FUZZ_SECONDS)

swarm: build ## run the simulator, of sessions and of plain relays, from the seeds SEEDS (1:100000), 20 minutes
	@tools/install-deps build test
	@ninja -C $(BUILD) tests/sim/sim_swarm tests/sim/sim_sessions
	@$(BUILD)/tests/sim/sim_sessions --seeds $(SEEDS)
	@$(BUILD)/tests/sim/sim_swarm --seeds $(SEEDS)

soak: ## load a gateway for SOAK_MINUTES (60); nothing it holds may grow
	@tools/install-deps build bench
	@$(MAKE) --no-print-directory build
	@ninja -C $(BUILD) bench/bench-load bench/bench-backend
	@tests/soak/run --minutes $(SOAK_MINUTES) --build $(BUILD)

drops: ## cut the connections of DROPS_CLIENTS (2000) sessions for DROPS_MINUTES (3), before Daphne and before Uvicorn
	@tools/install-deps build test
	@$(MAKE) --no-print-directory build
	@ninja -C $(BUILD) $(DROPS)
	@tests/drops/run --clients $(DROPS_CLIENTS) --minutes $(DROPS_MINUTES)

herd: ## cut 9,000 sessions at one instant, and say how they come back
	@tools/install-deps build test
	@$(MAKE) --no-print-directory build
	@ninja -C $(BUILD) $(DROPS) bench/bench-backend
	@tests/drops/herd

matrix: build ## ask `diagnose` blind about every known killer, ROUNDS (5) times each: the confusion matrix; ONLY, JOBS, SEED, NOISE
	@tools/install-deps build test
	@tests/matrix/run --rounds $(ROUNDS) --jobs $(JOBS) --seed $(SEED) --noise $(NOISE) --only "$(ONLY)" --json $(BUILD)/matrix.json

lint: build ## clang-format, clang-tidy and tools/tidy
	@tools/install-deps lint
	@tools/lint $(BUILD)

install: build ## install program, library, manual pages and systemd unit under PREFIX (/usr/local); DESTDIR is honoured
	@install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/doc/holdfast/examples
	@install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/share/man/man3
	@install -m 755 $(BUILD)/holdfast $(DESTDIR)$(PREFIX)/bin
	@install -m 644 include/holdfast.h $(DESTDIR)$(PREFIX)/include
	@install -m 755 $(BUILD)/libholdfast.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib
	@ln -sf libholdfast.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libholdfast.so.0
	@ln -sf libholdfast.so.0 $(DESTDIR)$(PREFIX)/lib/libholdfast.so
	@install -m 644 $(BUILD)/libholdfast.a $(DESTDIR)$(PREFIX)/lib
	@sed -e 's,@prefix@,$(PREFIX),' -e 's,@version@,$(VERSION),' packaging/holdfast.pc.in >$(DESTDIR)$(PREFIX)/lib/pkgconfig/holdfast.pc
	@install -m 644 man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	@install -m 644 man/*.3 $(DESTDIR)$(PREFIX)/share/man/man3
	@sed 's,@bindir@,$(PREFIX)/bin,' packaging/holdfast.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/holdfast.service
	@sed 's,@bindir@,$(PREFIX)/bin,' packaging/holdfast-watch.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/holdfast-watch.service
	@install -m 644 packaging/holdfast.example.yaml packaging/watch.example.yaml docs/watch.md docs/diagnosis.md docs/lint.md docs/configuration.md docs/endings.md docs/causes.md docs/protocol.md docs/without-websockets.md $(DESTDIR)$(PREFIX)/share/doc/holdfast
	@install -m 644 examples/*.c $(DESTDIR)$(PREFIX)/share/doc/holdfast/examples

clean: ## remove what was built
	@rm -rf $(BUILD) build-test build-clang build-tsan build-fuzz
