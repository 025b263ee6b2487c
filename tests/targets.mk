# Test, check and bench targets; included by the Makefile.
JOBS       := $(shell nproc)

deps:
	@packaging/deps.sh build
run: deps
	@$(MAKE) -s -j$(JOBS) VARIANT=release build/release/tarn
	build/release/tarn demo --data build/demo --http 127.0.0.1:8420

# Unit tests of every room, then the program as a whole with real clients.
test: deps
	@packaging/deps.sh test
	@$(MAKE) -s -j$(JOBS) VARIANT=release all tools
	@tests/run.sh

tools: $(patsubst tests/tools/%.c,$(B)/tests/tools/%,$(wildcard tests/tools/*.c)) \
       $(patsubst tests/bench/%.c,$(B)/tests/bench/%,$(wildcard tests/bench/*_bench.c)) \
       $(patsubst tests/tools/%.c,$(B)/tests/tools/%.so,$(wildcard tests/tools/preload/*.c))
# Put under a running tarn with LD_PRELOAD; no sanitizer in them.
$(B)/tests/tools/preload/%.so: tests/tools/preload/%.c
	@mkdir -p $(@D)
	$(if $(V),,@echo '  tool $<')
	$(Q)$(CC) -std=c11 $(WARN) -O1 -g -fPIC -shared -o $@ $< -ldl
define tool_rule
$(B)/tests/$(1)/%: tests/$(1)/%.c $(call ARCH,$(UPDOWN))
	@mkdir -p $$(@D)
	$(if $(V),,@echo '  tool $$<')
	$(Q)$$(CC) $$(CFLAGS) -o $$@ $$< $$(WITH) $$(LDFLAGS) -Wl,--start-group $(call ARCH,$(UPDOWN)) -Wl,--end-group $$(LIBS)
endef
$(foreach d,tools bench,$(eval $(call tool_rule,$(d))))
# More than one source.
$(B)/tests/bench/load_bench: tests/bench/gen.c tests/bench/gen.h
$(B)/tests/bench/load_bench: private WITH := tests/bench/gen.c

.PHONY: tools powerloss interop layers symbols sizes format tidy check-asan check-tsan web-size
layers:
	@tests/check/layers.sh
symbols: $(call ARCH,$(ROOMS))
	@tests/check/symbols.sh $(B)
sizes format:
	@tests/check/sizes.sh
tidy:
	@tests/check/tidy.sh
web-size:
	@web/size.sh
check-asan:
	@$(MAKE) -s -j$(JOBS) VARIANT=asan unit
check-tsan:
	@TARN_STRIDE=2003 $(MAKE) -s -j$(JOBS) VARIANT=tsan unit ROOM="base net log exec ingest speed serving batch http mqtt app"
check: deps
	@packaging/deps.sh test
	@$(MAKE) -s layers symbols sizes tidy web-size
	@$(MAKE) -s check-asan
	@$(MAKE) -s check-tsan

# SECONDS of each fuzzer but mqtt, which gets 10 million packets; FUZZ=codec_json for one of them.
FUZZ_SECONDS ?= 60
fuzz: deps
	@packaging/deps.sh test
	@$(MAKE) -s -j$(JOBS) VARIANT=fuzz fuzzers
	@tests/fuzz/run.sh build/fuzz/tests/fuzz $(FUZZ_SECONDS) $(FUZZ)
fuzzers: $(FUZZERS)

bench: deps
	@packaging/deps.sh test
	@$(MAKE) -s -j$(JOBS) VARIANT=release all tools
	@tests/bench/run.sh build/release
soak: deps
	@packaging/deps.sh test
	@$(MAKE) -s -j$(JOBS) VARIANT=release all tools
	@SOAK=1 node --test tests/e2e/differential.test.mjs tests/e2e/past.test.mjs tests/e2e/time_travel.test.mjs tests/e2e/kill.test.mjs tests/e2e/mqtt_faults.test.mjs tests/e2e/objects.test.mjs tests/e2e/big.test.mjs
# What is too large for make test: Node-RED, Python's and Spark's readers of Iceberg and Delta.
interop: deps
	@packaging/deps.sh test
	@$(MAKE) -s -j$(JOBS) VARIANT=release all
	@[ -d tests/node_modules/icebird ] || (cd tests && npm install --no-audit --no-fund --loglevel=error)
	@[ -d tests/tools/node-red/node_modules ] || (cd tests/tools/node-red && npm install --no-audit --no-fund --loglevel=error)
	@tests/tools/interop.sh
	@INTEROP=1 node --test --test-reporter=spec tests/e2e/mqtt_clients.test.mjs tests/e2e/tables.test.mjs tests/e2e/lake_page.test.mjs
# States of a real disk that a power loss can leave; needs root and loop devices.
# STATES of each file system, FS="ext4 xfs btrfs". make test looks at 24.
STATES ?= 200
FS     ?= ext4
powerloss: deps
	@packaging/deps.sh test
	@$(MAKE) -s -j$(JOBS) VARIANT=$(VARIANT) B=$(B) all tools
	@TARN_BIN=$(abspath $(B))/tarn POWERLOSS_STATES=$(STATES) POWERLOSS_FS="$(FS)" \
	    node --test --test-reporter=spec tests/e2e/powerloss.test.mjs
map:
	@awk '!/^#/ {print $$1, $$2}' src/LAYERS | sort -k1,1nr | awk '{f[$$1]=f[$$1] " " $$2; if (!($$1 in s)) {s[$$1]=1; o[n++]=$$1}} END {for (i=0;i<n;i++) printf "%2d %s\n", o[i], f[o[i]]}'
image:
	docker build -t tarn .
help:
	@echo "targets: all deps run test check fuzz bench soak interop powerloss map image unit clean; variants: VARIANT=debug|asan|tsan|cov|fuzz"
