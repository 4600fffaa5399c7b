# SPDX-License-Identifier: Apache-2.0
#
# husk.  `make help` lists what can be made.  All outputs are under build/ (build-san/
# with SAN=1); sources are found by wildcard, so a new file needs no line here.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
dry_run := $(findstring n,$(firstword -$(MAKEFLAGS)))
jobs := $(if $(findstring j,$(firstword -$(MAKEFLAGS))),,-j$(shell nproc))
MAKEFLAGS += --no-builtin-rules $(jobs)

PREFIX ?= /usr/local
STATIC ?= 1
DEPS ?= 1
SAN ?=
# 1: husk-vmm with a hole in its wall, for tests/breach.bats
BREACH ?=
B := $(if $(BREACH),build-breach,$(if $(SAN),build-san,build))

, := ,
VERSION := $(file < VERSION)
CC = gcc
CFLAGS ?= -O2 -g

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wimplicit-fallthrough -Wvla -Wformat=2 -Wpointer-arith -Wundef
LANG_FLAGS := -std=gnu11 -D_GNU_SOURCE= -I. -I$(B) -isystem /usr/include/libnl3
BASE := $(LANG_FLAGS) -fno-strict-aliasing -fno-common -ffunction-sections -fdata-sections
HARDEN := $(if $(SAN),,-fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
SANFLAGS := $(if $(SAN),-fsanitize=address$(,)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)

# Per part: extra flags, libraries, how it is linked
CFLAGS_oci :=
CFLAGS_runtime :=
CFLAGS_vmm := -Wconversion -Wno-sign-conversion $(if $(BREACH),-DHUSK_TEST_BREACH)
CFLAGS_agent := -Wconversion -Wno-sign-conversion

static := $(if $(SAN),,$(filter 1,$(STATIC)))
LIBS_oci := $(if $(static),-lyajl_s,-lyajl) -lcap -lseccomp -lm
LIBS_runtime := $(LIBS_oci) -lnl-3 -lpthread
LIBS_vmm := -lseccomp -luring -lpthread
LIBS_agent :=
LDFLAGS_ALL := -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,noexecstack $(SANFLAGS) $(LDFLAGS)
LDMODE := $(if $(static),-static-pie,-pie)

# The agent is built with musl where musl-gcc is installed, otherwise with a static glibc.
MUSL := $(if $(SAN),,$(shell command -v musl-gcc))
AGENT_CC := $(if $(MUSL),musl-gcc -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu,$(CC))
# No library can be in the guest: there, what is undefined traps.
AGENT_SAN := $(if $(SAN),-fsanitize=undefined -fsanitize-undefined-trap-on-error -fno-omit-frame-pointer)
AGENT_HARDEN := $(if $(SAN),,-fstack-protector-strong -fno-pie)

parts := oci runtime vmm agent
src = $(wildcard $(1)/*.c)
# code of the agent that the runtime uses as well
shared_runtime := $(B)/obj/agent/duplex.o $(B)/obj/agent/steer.o
shared_vmm := $(if $(BREACH),$(B)/obj/tests/breach/breach.o)
objs = $(patsubst $(1)/%.c,$(B)/obj/$(1)/%.o,$(call src,$(1))) $(shared_$(1))
lib_objs = $(filter-out %/main.o,$(call objs,$(1)))

programs := $(B)/husk $(B)/husk-vmm $(B)/husk-agent
images := build/vmlinux $(B)/initramfs.cpio

.PHONY: all programs install uninstall clean help deps deps-check kernel kernel-debug demo format

all: programs $(images) ## programs, guest kernel and initramfs (the default)

programs: $(programs) ## husk, husk-vmm and husk-agent only

# ---- packages ----

packages = $(shell sed 's/[[:space:]]*\#.*//; /^$$/d; s/[[:space:]].*//' $(1))
deps_stamp := build/deps.$(shell cksum packages.txt | tr ' ' -)
deps_check_stamp := build/deps-check.$(shell cat packages.txt tests/packages.txt | cksum | tr -d ' ')

# The stamp is an included makefile: make installs what is missing first, then reads everything
# anew.  Not for targets that build nothing, and not for a dry run.
ifneq ($(filter-out help clean uninstall,$(or $(MAKECMDGOALS),all)),)
ifeq ($(dry_run)$(filter 0,$(DEPS)),)
include $(deps_stamp)
endif
endif

$(deps_stamp):
	@tests/install-packages $(call packages,packages.txt)
	@mkdir -p build && rm -f build/deps.* && touch $@

$(deps_check_stamp): $(deps_stamp)
	@tests/install-packages $(call packages,tests/packages.txt)
	@rm -f build/deps-check.* && touch $@

deps: $(deps_stamp) ## install the Debian packages that the build needs (packages.txt)
deps-check: $(deps_check_stamp) ## and those that the checks need (tests/packages.txt)

# ---- version.h: rewritten only when it changes ----

$(B)/version.h: FORCE
	@mkdir -p $(B)
	@commit=$$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown); \
	printf '#define HUSK_VERSION "%s"\n#define HUSK_COMMIT "%s"\n#define HUSK_PREFIX "%s"\n' \
		'$(VERSION)' "$$commit" '$(PREFIX)' >$@.new; \
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# ---- objects: when the flags change, everything is made anew ----

flags := $(CC) $(CFLAGS) $(WARN) $(BASE) $(HARDEN) $(SANFLAGS) $(foreach p,$(parts),$(CFLAGS_$(p))) $(AGENT_CC) $(AGENT_HARDEN)
$(B)/flags: FORCE
	@mkdir -p $(B)
	@echo '$(flags)' | cmp -s - $@ || echo '$(flags)' >$@

COMPILE = @mkdir -p $(@D); echo "  CC      $<";
OBJ_DEPS := $(B)/flags | $(B)/version.h

define part_rules
$(B)/obj/$(1)/%.o: $(1)/%.c $(OBJ_DEPS)
	$$(COMPILE) $$(CC) $(BASE) $(WARN) $(HARDEN) $(SANFLAGS) -fPIE $$(CFLAGS_$(1)) $$(CFLAGS) $$(CPPFLAGS) -MMD -MP -c -o $$@ $$<

$(B)/lib$(1).a: $(call lib_objs,$(1)) $(B)/obj/$(1).list
	@t=$$@.$$$$$$$$; rm -f $$$$t; ar rcsD $$$$t $$(filter %.o,$$^) && mv $$$$t $$@

# the list of objects: an archive is made anew when a file goes away, too
$(B)/obj/$(1).list: FORCE
	@mkdir -p $$(@D); echo '$(call objs,$(1))' | cmp -s - $$@ || echo '$(call objs,$(1))' >$$@
endef
$(foreach p,$(parts),$(eval $(call part_rules,$(p))))

$(B)/obj/agent-guest/%.o: agent/%.c $(OBJ_DEPS)
	$(COMPILE) $(AGENT_CC) $(BASE) $(WARN) $(AGENT_HARDEN) $(AGENT_SAN) $(CFLAGS_agent) $(CFLAGS) -MMD -MP -c -o $@ $<

# outputs appear by rename: a program that runs, or a second make, keeps what it has
LINK = @echo "  LINK    $@"; mkdir -p $(@D); t=$@.$$$$; trap "rm -f $$t" EXIT;
PUT = -o $$t && mv $$t $@

$(B)/husk: $(call objs,runtime) $(B)/liboci.a $(B)/obj/runtime.list
	$(LINK) $(CC) $(CFLAGS) $(LDMODE) $(LDFLAGS_ALL) $(filter %.o %.a,$^) $(LIBS_runtime) $(PUT)

$(B)/husk-vmm: $(call objs,vmm) $(B)/obj/vmm.list
	$(LINK) $(CC) $(CFLAGS) $(LDMODE) $(LDFLAGS_ALL) $(filter %.o,$^) $(LIBS_vmm) $(PUT)

$(B)/husk-agent: $(patsubst agent/%.c,$(B)/obj/agent-guest/%.o,$(call src,agent)) $(B)/obj/agent.list
	$(LINK) $(AGENT_CC) $(CFLAGS) -static -no-pie $(filter-out -fsanitize%,$(LDFLAGS_ALL)) $(filter %.o,$^) $(LIBS_agent) \
		-o $$t && cp $$t $@.debug && strip $$t && mv $$t $@ # the guest unpacks it at each boot

# ---- guest images ----

kernel: build/vmlinux ## the guest kernel
kernel-debug: build/vmlinux-debug ## the guest kernel with serial port, symbols and checks

kernel_src := $(wildcard kernel-config/build kernel-config/fragments/*)
build/vmlinux: $(kernel_src)
	@kernel-config/build $@
build/vmlinux-debug: $(kernel_src)
	@kernel-config/build $@ --debug

$(B)/initramfs.cpio: $(B)/husk-agent $(wildcard rootfs/*)
	@rootfs/build $@ $<

# ---- install ----

install: all ## install under $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/husk $(DESTDIR)$(PREFIX)/lib/husk
	install -m 755 $(B)/husk $(DESTDIR)$(PREFIX)/bin/husk
	install -m 755 $(B)/husk-vmm $(DESTDIR)$(PREFIX)/libexec/husk/husk-vmm
	install -m 644 build/vmlinux $(B)/initramfs.cpio $(DESTDIR)$(PREFIX)/lib/husk/
	for m in $(wildcard docs/man/*.[1-9]); do \
		install -D -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/} || exit 1; \
	done

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/husk
	rm -rf $(DESTDIR)$(PREFIX)/libexec/husk $(DESTDIR)$(PREFIX)/lib/husk
	for m in $(wildcard docs/man/*.[1-9]); do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; done

clean: ## remove all outputs (not the caches under ~/.cache/husk)
	rm -rf build build-san build-fuzz build-breach build-cov

demo: all ## run a container in its own micro-VM and show what happened
	@tests/demo

include tests/rules.mk

help: ## this list
	@echo 'make TARGET...   (SAN=1: with ASan and UBSan in build-san/; STATIC=0: dynamic; DEPS=0: install no packages)'
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile tests/rules.mk | awk -F '\t' '{ printf "  %-14s %s\n", $$1, $$2 }'

FORCE:
.PHONY: FORCE

-include $(wildcard $(B)/obj/*/*.d)
