# Tarn's one Makefile. Targets: all deps run test check fuzz bench soak map image
# Variants stand side by side: make VARIANT=debug|release|asan|tsan|cov|fuzz
# B is the folder for objects, so that several people build at once:
#   make B=build/mine unit ROOM=codec
VARIANT ?= release
B       ?= build/$(VARIANT)
CC      := gcc
# make V=1 shows every command.
Q       := $(if $(V),,@)
ROOMS   := $(shell awk '!/^\#/ {print $$2}' src/LAYERS)

# ---- flags -----------------------------------------------------------------
WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
           -Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wimplicit-fallthrough
HARDEN  := -fstack-protector-strong -fPIE -D_FORTIFY_SOURCE=2
CFLAGS  := -std=c11 -D_GNU_SOURCE -g -Isrc -pthread -fno-strict-aliasing $(WARN)
LDFLAGS := -pthread -pie -Wl,-z,relro,-z,now
OPT_release := -O2 -march=x86-64-v2 $(HARDEN)
OPT_debug   := -O0 -fPIE
OPT_asan    := -O1 -fPIE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_tsan    := -O1 -fPIE -fsanitize=thread
OPT_cov     := -O0 -fPIE --coverage
OPT_fuzz    := -O1 -fPIE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ifeq ($(shell uname -m),aarch64)
OPT_release := $(subst -march=x86-64-v2,,$(OPT_release))
endif
ifeq ($(VARIANT),fuzz)
CC      := clang
endif
CFLAGS  += $(OPT_$(VARIANT))
LDFLAGS += $(filter -fsanitize=address$(comma)undefined -fsanitize=thread --coverage,$(OPT_$(VARIANT)))
comma   := ,
ifneq ($(filter asan,$(VARIANT)),)
LDFLAGS += -fsanitize=address,undefined
endif
ifneq ($(filter fuzz,$(VARIANT)),)
LDFLAGS += -fsanitize=address,undefined
endif
# Core libraries from their archives; libc, GnuTLS and what hangs on it dynamic.
UV_A    := $(firstword $(wildcard /usr/lib/*/libuv_a.a /usr/lib/*/libuv.a))
LIBS    := -Wl,-Bstatic -llmdb -lsqlite3 -lzstd -lpg_query -lsodium -lpcre2-8 -lz \
           -Wl,-Bdynamic $(UV_A) -lmicrohttpd -lgnutls -lcurl-gnutls -lm -ldl -lrt

# ---- rooms -----------------------------------------------------------------
# A file that ends in a processor's name is for that one only.
NOTHERE := $(if $(filter x86_64,$(shell uname -m)),src/base/crc_other.c src/parquet/crc_other.c,src/base/crc_x86_64.c src/parquet/crc_x86_64.c)
SRC     := $(filter-out $(NOTHERE),$(foreach r,$(ROOMS),$(wildcard src/$(r)/*.c)))
OBJ     := $(SRC:src/%.c=$(B)/%.o)
LIBOBJ  := $(filter-out $(B)/app/main.o,$(OBJ))
ARCH     = $(patsubst %,$(B)/lib%.a,$(1))
# Highest room first, so that a plain link order resolves downwards.
UPDOWN  := $(shell awk '!/^\#/ {print $$1, $$2}' src/LAYERS | sort -k1,1nr -k2,2 | cut -d' ' -f2)

.PHONY: all deps run test check fuzz bench soak map image unit clean help
.SECONDARY:
all: $(B)/tarn

$(B)/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(if $(V),,@echo '  cc   $<')
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<
$(B)/web/%.o: $(B)/web/%.S
	$(Q)$(CC) -c -o $@ $<
-include $(OBJ:.o=.d) $(wildcard $(B)/tests/*/*.d)

define room_rule
$(B)/lib$(1).a: $(patsubst src/%.c,$(B)/%.o,$(filter-out src/app/main.c $(NOTHERE),$(wildcard src/$(1)/*.c)))
	@rm -f $$@
	$(Q)ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))

# ---- unit tests: a room and those below it, nothing above --------------------
# make unit            all rooms;   make unit ROOM=codec    one of them
ROOM    ?= $(ROOMS)
UNITS   := $(foreach r,$(ROOM),$(wildcard tests/unit/$(r)/*_test.c))
UNITBIN := $(UNITS:tests/%.c=$(B)/tests/%)
floor    = $(shell awk '$$2=="$(1)" {print $$1}' src/LAYERS)
below    = $(shell awk -v f=$(call floor,$(1)) '!/^\#/ && ($$1<f || $$2=="$(1)") {print $$1, $$2}' src/LAYERS | sort -k1,1nr -k2,2 | cut -d' ' -f2)
# A test that sets "// wrap: malloc pwrite" in its first line gets --wrap for each.
wraps    = $(shell sed -n '1s/.*wrap: *//p' $(1) | sed 's/ *\*\/.*//' | tr ' ' '\n' | sed 's/^\(.\)/-Wl,--wrap=\1/')
define unit_rule
$(B)/tests/unit/$(1)/%: tests/unit/$(1)/%.c tests/unit/test.h $(call ARCH,$(call below,$(1)))
	@mkdir -p $$(@D)
	$(if $(V),,@echo '  test $$<')
	$(Q)$$(CC) $$(CFLAGS) -Itests/unit -MMD -MP -o $$@ $$< $$(call wraps,$$<) $$(LDFLAGS) \
	    -Wl,--start-group $(call ARCH,$(call below,$(1))) -Wl,--end-group -lcmocka $$(LIBS)
endef
$(foreach r,$(ROOMS),$(eval $(call unit_rule,$(r))))
unit: $(UNITBIN)
	@tests/unit/run.sh $(UNITBIN)

# ---- the program -------------------------------------------------------------
ASSETS  := $(if $(wildcard web/index.html),$(B)/web/assets.o) $(B)/web/bundle.o
$(B)/tarn: $(B)/app/main.o $(ASSETS) $(call ARCH,$(UPDOWN))
	$(if $(V),,@echo '  link $@')
	$(Q)$(CC) $(CFLAGS) -o $@ $< $(ASSETS) $(LDFLAGS) -Wl,--start-group $(call ARCH,$(UPDOWN)) -Wl,--end-group $(LIBS)
$(B)/web/assets.S: $(shell find web -type f 2>/dev/null) packaging/assets.sh
	$(Q)packaging/assets.sh web $(B)/web

$(B)/web/bundle.S: $(shell find config -type f 2>/dev/null) packaging/bundle.sh
	$(Q)packaging/bundle.sh config $(B)/web

# ---- fuzzers -----------------------------------------------------------------
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
$(B)/tests/fuzz/%: tests/fuzz/%.c $(call ARCH,$(UPDOWN))
	@mkdir -p $(@D)
	$(if $(V),,@echo '  fuzz $<')
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer -o $@ $< $(LDFLAGS) -Wl,--start-group $(call ARCH,$(UPDOWN)) -Wl,--end-group $(LIBS)

include $(wildcard tests/targets.mk)
clean:
	rm -rf build
