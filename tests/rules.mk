# SPDX-License-Identifier: Apache-2.0
#
# Tests and checks, included by the Makefile.  Every stage prints `ok NAME` and
# `not ok NAME` lines; tests/check runs the stages and counts them.

# ---- which archives a test names in its `// link:` line: FILE:oci,vmm ----

unit_src := $(wildcard tests/unit/test_*.c)
fuzz_src := $(wildcard tests/fuzz/fuzz_*.c)
links := $(if $(unit_src)$(fuzz_src),$(shell \
	for f in $(unit_src) $(fuzz_src); do echo $$f; done | \
	xargs sed -s -n '1F; 1,12s,^// link: *,,p' | \
	awk '/\.c$$/ { f = $$0; next } NF { gsub(/ +/, ","); print f ":" $$0 }'))
comma := ,
link_of = $(subst $(comma), ,$(patsubst $(1):%,%,$(filter $(1):%,$(links))))

# ---- unit tests ----

unit_bins := $(patsubst tests/unit/%.c,$(B)/tests/%,$(unit_src))
UNIT_LIBS = $(if $(filter oci runtime,$(1)),-lyajl -lcap -lm) $(if $(filter runtime,$(1)),-lnl-3) $(if $(filter oci runtime vmm,$(1)),-lseccomp) \
	$(if $(filter vmm,$(1)),-luring) -lpthread

define unit_rule
$(patsubst tests/unit/%.c,$(B)/tests/%,$(1)): $(patsubst tests/unit/%.c,$(B)/obj/tests/%.o,$(1)) \
		$(patsubst %,$(B)/lib%.a,$(call link_of,$(1)))
	$$(LINK) $(CC) $(CFLAGS) -pie $(SANFLAGS) $(LDFLAGS) $$< -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
		$(call UNIT_LIBS,$(call link_of,$(1))) $$(PUT)
endef
$(foreach t,$(unit_src),$(eval $(call unit_rule,$(t))))

$(B)/obj/tests/%.o: tests/unit/%.c $(OBJ_DEPS)
	$(COMPILE) $(CC) $(BASE) $(filter-out -Wmissing-prototypes,$(WARN)) $(HARDEN) $(SANFLAGS) -fPIE $(CFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

unit-bins: $(unit_bins) ## build the unit tests

check-unit: $(unit_bins) ## unit tests
	@tests/run-unit $(unit_bins)

check-san: ## unit tests under ASan and UBSan
	@$(MAKE) --no-print-directory SAN=1 check-unit

# ---- fuzzers: clang and libFuzzer, with objects of their own ----

COV ?=
FB := $(if $(COV),build-cov,build-fuzz)
FUZZ_TIME ?= 10
FUZZ_SAN := address,undefined
FUZZ_FLAGS := $(LANG_FLAGS) -O1 -g -fno-omit-frame-pointer -Wall -Wextra -DHUSK_FUZZING=1 \
	$(if $(COV),-fprofile-instr-generate -fcoverage-mapping,-fsanitize=$(FUZZ_SAN) -fno-sanitize-recover=undefined)
fuzz_bins := $(patsubst tests/fuzz/%.c,$(FB)/%,$(fuzz_src))

$(FB)/obj/%.o: %.c tests/rules.mk | $(B)/version.h $(deps_check_stamp)
	@mkdir -p $(@D); echo "  FUZZCC  $<"; \
	clang $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

define fuzz_lib_rule
$(FB)/lib$(1).a: $(patsubst %.c,$(FB)/obj/%.o,$(filter-out %/main.c,$(call src,$(1)))) $(B)/obj/$(1).list
	@t=$$@.$$$$$$$$; rm -f $$$$t; ar rcsD $$$$t $$(filter %.o,$$^) && mv $$$$t $$@
endef
$(foreach p,$(parts),$(eval $(call fuzz_lib_rule,$(p))))

define fuzz_rule
$(patsubst tests/fuzz/%.c,$(FB)/%,$(1)): $(patsubst %.c,$(FB)/obj/%.o,$(1)) $(patsubst %,$(FB)/lib%.a,$(call link_of,$(1)))
	$$(LINK) clang $(FUZZ_FLAGS) -fsanitize=fuzzer $$< -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
		$(call UNIT_LIBS,$(call link_of,$(1))) $$(PUT)
endef
$(foreach t,$(fuzz_src),$(eval $(call fuzz_rule,$(t))))
-include $(shell [ ! -d $(FB)/obj ] || find $(FB)/obj -name '*.d')

fuzz-bins: $(fuzz_bins) ## build the fuzzers

check-fuzz: $(fuzz_bins) ## each fuzzer for a few seconds (FUZZ_TIME=10)
	@FUZZ_TIME=$(FUZZ_TIME) tests/run-fuzz smoke $(fuzz_bins)

TIME ?= 600
fuzz: $(fuzz_bins) ## each fuzzer for TIME=600 seconds, keeping the corpus
	@FUZZ_TIME=$(TIME) tests/run-fuzz long $(fuzz_bins)

fuzz-coverage: ## what seeds and corpora reach, per file: build-cov/coverage.md
	@$(MAKE) --no-print-directory COV=1 DEPS=0 $(patsubst tests/fuzz/%.c,build-cov/%,$(fuzz_src))
	@tests/fuzz-coverage $(patsubst tests/fuzz/%.c,build-cov/%,$(fuzz_src))

# ---- static analysis and style ----

c_src := $(wildcard $(addsuffix /*.c,$(parts) rootfs tests/*))
c_hdr := $(wildcard $(addsuffix /*.h,$(parts) rootfs tests/*))

check-static: $(B)/version.h | $(deps_check_stamp) ## clang-tidy, cppcheck, shellcheck
	@LANG_FLAGS='$(LANG_FLAGS)' tests/run-static $(c_src)
	@tests/run-claims docs/threat-model.md

check-format: | $(deps_check_stamp) ## clang-format, line length, first lines
	@tests/run-format $(c_src) $(c_hdr)

format: | $(deps_check_stamp) ## bring the C files into the project's style
	@clang-format -i $(c_src) $(c_hdr)

# ---- with guests, in a KVM host ----

check-host: | $(deps_check_stamp) ## the promises of the emulated KVM host
	@tests/host/selftest

# programs of the suites; static, because most of them run inside containers
bats_tools := $(patsubst %,build/tests/tools/%,inside stream shim leaks recvtty dirwatch pidtake netpeer fs_suite maptouch ctlcall fsevents)

build/tests/tools/%: tests/tools/%.c $(OBJ_DEPS)
	$(COMPILE) $(CC) $(BASE) $(WARN) $(CFLAGS) -static -o $@.new $< && mv $@.new $@

build/tests/bench/%: tests/bench/%.c $(OBJ_DEPS)
	$(COMPILE) $(CC) $(BASE) $(WARN) $(CFLAGS) -static -o $@.new $< -luring && mv $@.new $@

# which lines of the VMM's filters are used
build/tests/tools/calls: tests/tools/calls.c vmm/seccomp.c vmm/seccomp_rules.c vmm/seccomp.h $(OBJ_DEPS)
	$(COMPILE) $(CC) $(BASE) $(WARN) $(CFLAGS) -static -o $@.new $(filter %.c,$^) && mv $@.new $@
bats_tools += build/tests/tools/calls

# husk-vmm with a hole in its wall
$(B)/obj/tests/breach/breach.o: tests/breach/breach.c $(OBJ_DEPS)
	$(COMPILE) $(CC) $(BASE) $(WARN) $(HARDEN) $(SANFLAGS) -fPIE $(CFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

ifeq ($(BREACH),)
build-breach/husk-vmm: FORCE
	@$(MAKE) --no-print-directory BREACH=1 SAN= DEPS=0 $@
bats_tools += build-breach/husk-vmm
endif

# Guests without an operating system: loaded where a kernel would be, no library, no vector registers.
GUEST_FLAGS := -I. -std=gnu11 -O1 -ffreestanding -fno-builtin -fno-pic -no-pie -mno-red-zone -mgeneral-regs-only -mcmodel=small \
	-fno-stack-protector -fcf-protection=none -Wall -Wextra -Werror -nostdlib -static \
	-Wl,-Ttext-segment=0x1000000,--build-id=none,-z,noexecstack,-z,norelro,-z,max-page-size=4096

build/tests/guest/%: tests/guest/%.c tests/guest/bare.h $(OBJ_DEPS)
	$(COMPILE) $(CC) $(GUEST_FLAGS) -o $@.new $< && mv $@.new $@

bats_tools += build/tests/guest/hostile build/tests/guest/breach
build/tests/guest/breach: tests/breach/breach.h

# the semantics of a file system, on whatever directory it is given
build/tests/tools/fs_suite: $(wildcard tests/fs/*.c tests/fs/*.h) $(OBJ_DEPS)
	$(COMPILE) $(CC) $(BASE) $(WARN) $(CFLAGS) -static -o $@.new $(filter %.c,$^) && mv $@.new $@

test-tools: $(bats_tools) ## programs that the bats suites use

guest_bats := $(wildcard tests/*.bats)
client_bats := $(wildcard tests/clients/*.bats)

check-guest: all test-tools | $(deps_check_stamp) ## every verb and config.json field, in a KVM host
	@RUNTIME=husk SUITE_TIMEOUT=3600 tests/run-bats --filter-tags '!slow' $(guest_bats)

check-guest-all: all test-tools | $(deps_check_stamp) ## check-guest with its slow cases: hostile guests, networks, crashes, files
	@RUNTIME=husk SUITE_TIMEOUT=7200 tests/run-bats $(guest_bats)

SAN_BATS ?= $(addprefix tests/,run.bats exec.bats kill.bats process.bats mounts.bats files.bats stdio.bats errors.bats)
check-guest-san: test-tools build/vmlinux | $(deps_check_stamp) ## runtime, proxy, VMM and agent under sanitizers, in a KVM host (SAN_BATS="FILES")
	@$(MAKE) --no-print-directory SAN=1 DEPS=0 programs build-san/initramfs.cpio
	@SAN=1 RUNTIME=husk CASE_TIMEOUT=300 SUITE_TIMEOUT=7200 tests/run-bats --filter-tags '!slow' $(SAN_BATS)

check-runc: test-tools | $(deps_check_stamp) ## the cases that need no VM, with runc
	@RUNTIME=runc SUITE_TIMEOUT=1500 tests/run-bats --filter-tags '!vm,!slow' $(guest_bats)

build/debian.tar: tests/clients/mkdebian
	@tests/clients/mkdebian $@

check-clients: all test-tools build/debian.tar | $(deps_check_stamp) ## Docker, compose, containerd and podman: the same matrix with husk and with runc
	@st=0; for r in husk runc; do \
		RUNTIME=$$r CASE_TIMEOUT=900 SUITE_TIMEOUT=14400 tests/run-bats $(client_bats) || st=1; \
	done; exit $$st

check-clients-quick: all test-tools | $(deps_check_stamp) ## a representative part of check-clients with husk, some minutes
	@RUNTIME=husk SUITE_TIMEOUT=900 tests/run-bats --filter-tags quick $(client_bats)

bench: all | $(deps_check_stamp) ## measure against the peers
	@tests/bench/run

soak: all | $(deps_check_stamp) ## long load with random kills
	@tests/soak

STAGES ?= unit san fuzz static format host guest runc $(if $(client_bats),clients-quick)
check: | $(deps_check_stamp) ## all of: unit san fuzz static format host guest runc clients-quick (STAGES="...")
	@MAKE='$(MAKE)' tests/check $(STAGES)

.PHONY: unit-bins test-tools check-unit check-san fuzz-bins check-fuzz fuzz fuzz-coverage check-static check-format format check-host \
	check-guest check-guest-san check-runc check-clients check-clients-quick bench soak check
