# make help lists the targets. Everything that is made goes to build/ (B=build-asan for another).
B       ?= build
PREFIX  ?= /usr/local
CC      ?= cc
MPICC   ?= mpicc
# linked: with the MPI of mpicc. loaded: with none; the table that fits is loaded in a rank (src/cluster/post.h),
# and a table is built for each ABI whose mpi.h is there: H_openmpi, H_mpich and H_standard are their folders.
MPI     ?= linked
PKG     ?= pkg-config
MSGPACK := $(shell $(PKG) --exists msgpack-c 2>/dev/null && echo msgpack-c || echo msgpack)
PKGS    := libcurl $(MSGPACK) libutf8proc libpcre2-8 zlib libzstd
VERSION := $(shell sed -n 's/^.define DSPY_MPI_VERSION  *"\(.*\)"/\1/p' include/dspy_mpi/version.h)

OPT      ?= -O2 -g
# make V=1 shows the whole commands; without it each is one short line.
V        ?= 0
Q        := $(if $(filter 0,$(V)),@)
say       = $(if $(filter 0,$(V)),@printf '  %-4s %s\n' $(1) $(2))
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Werror
# They take a compound literal in a designated initializer for a sign that the others are missing.
OLD_GCC  := $(filter 8 9 10,$(shell $(CC) -dumpversion 2>/dev/null | cut -d. -f1))
WARN     += $(if $(OLD_GCC),-Wno-missing-field-initializers)
CPPFLAGS += -Isrc -Iinclude -D_GNU_SOURCE -DDM_VERSION='"$(VERSION)"' $(shell command -v $(PKG) >/dev/null && $(PKG) --cflags $(PKGS))
CFLAGS   += -std=c17 $(OPT) -ffp-contract=off $(WARN) $(SAN)
LDFLAGS  += $(SAN)
LDLIBS   += $(shell command -v $(PKG) >/dev/null && $(PKG) --libs $(PKGS)) -lm -lpthread -ldl

# mpi.h is included in src/cluster/post_mpi.c only, which mpicc compiles, and mpicc links the program.
ROOMS   := base json data advice program adapter lm metric host runner search study pool ensemble gepa optimizer report
LIB_SRC := $(sort $(foreach r,$(ROOMS),$(wildcard src/$(r)/*.c)))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
LIB     := $(B)/libdspympi.a
MPI_SRC := $(sort $(wildcard src/cluster/*.c))
CMD_SRC := $(sort $(wildcard src/cmd/*.c))
MPICC_ENV = OMPI_CC="$(CC)" MPICH_CC="$(CC)" I_MPI_CC="$(CC)"
POST    := $(B)/src/cluster/post_
$(if $(filter-out linked loaded,$(MPI)),$(error MPI=$(MPI): it is linked or loaded))
# $(call need,COMMAND,WHAT TO DO): one sentence where it is not there.
comma   := ,
need     = @command -v $(firstword $(1)) >/dev/null || { echo "make $@: there is no $(firstword $(1)): $(2)" >&2; exit 69; }
# What is not linked in is compiled too, where it can be, so that it stays right.
MPI_ALL := $(MPI_SRC:%.c=$(B)/%.o)
MPI_ALL := $(filter-out $(if $(filter loaded,$(MPI)),$(POST)mpi.o),$(MPI_ALL))
MPI_OBJ := $(filter-out $(if $(filter loaded,$(MPI)),$(POST)linked.o,$(POST)find.o),$(MPI_ALL))
H_openmpi  ?= $(firstword $(shell $(MPICC) --showme:incdirs 2>/dev/null))
H_mpich    ?= $(shell $(PKG) --variable=includedir mpich 2>/dev/null)
H_standard ?=
ABIS    := $(foreach abi,openmpi mpich standard,$(if $(strip $(H_$(abi))),$(abi)))
TABLES  := $(if $(filter loaded,$(MPI)),$(ABIS:%=$(B)/lib/dspy-mpi/mpi-%.so))
CMD_OBJ := $(CMD_SRC:%.c=$(B)/%.o)
PROGRAM := $(B)/dspy-mpi

UNIT_SRC := $(sort $(wildcard tests/unit/*.c tests/golden/*.c))
# A job is read by src/cmd; the fuzz targets are linked into the unit tests, which replay their corpus.
JOB_OBJ  := $(patsubst %,$(B)/src/cmd/%.o,job job_models job_table options option_text param_files paths program_file python_job columns)
FUZZ_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/fuzz/fuzz_*.c))) $(JOB_OBJ)
FUZZERS  := $(patsubst tests/fuzz/fuzz_%.c,$(B)/tests/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
# Of src/cluster what starts no MPI.
BELL_OBJ := $(patsubst %,$(B)/src/cluster/%.o,signs doorbell world hydra mpirun)
UNIT_OBJ := $(UNIT_SRC:%.c=$(B)/%.o) $(FUZZ_OBJ) $(BELL_OBJ) $(patsubst %,$(B)/tests/mock_lm/%.o,rules server tls tokens)
UNIT     := $(B)/tests/unit-tests
MOCK_SRC := $(sort $(wildcard tests/mock_lm/*.c))
MOCK     := $(if $(MOCK_SRC),$(B)/mock-lm)
# Only the mock server speaks TLS as a server; without libssl-dev its tests of that are skipped.
TLS_LIBS := $(shell $(PKG) --libs openssl 2>/dev/null)
# It reads JSON by another library than the program does.
MOCK_LIBS := $(shell $(PKG) --libs libcjson 2>/dev/null) $(TLS_LIBS)

all: $(if $(CMD_SRC),$(PROGRAM),$(LIB)) $(MPI_ALL) $(TABLES) ## build the program (build/dspy-mpi)

# Another MPI than in the last build of this folder: what depends on it is built again.
$(B)/mpi: FORCE
	@mkdir -p $(@D)
	@echo "$(MPI) $(MPICC) $(foreach abi,$(ABIS),$(H_$(abi)))" | cmp -s - $@ || echo "$(MPI) $(MPICC) $(foreach abi,$(ABIS),$(H_$(abi)))" >$@

$(POST)mpi.o: src/cluster/post_mpi.c $(B)/mpi
	@mkdir -p $(@D)
	$(call need,$(MPICC),scripts/install-deps installs one$(comma) module load may bring one$(comma) MPICC names another$(comma) MPI=loaded needs none)
	$(call say,MPI,$<)
	$(Q)$(MPICC_ENV) $(MPICC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# Not linked with libmpi: that of the machine where it runs is there before it.
$(B)/lib/dspy-mpi/mpi-%.so: src/cluster/post_mpi.c $(B)/mpi
	@mkdir -p $(@D)
	$(call say,MPI,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -shared $(LDFLAGS) -Wl,-z,undefs -Wl,-soname,mpi-$*.so -I$(strip $(H_$*)) \
		$(if $(filter standard,$*),-DDM_POST_STANDARD -DMPI_ABI) -MMD -MP -MF $(B)/mpi-$*.d -MT $@ $< -o $@

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(LIB): $(LIB_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

$(PROGRAM): $(CMD_OBJ) $(MPI_OBJ) $(LIB) $(B)/mpi
	$(call say,LINK,$@)
	$(Q)$(if $(filter loaded,$(MPI)),$(CC),$(MPICC_ENV) $(MPICC)) $(LDFLAGS) $(filter-out $(B)/mpi,$^) $(LDLIBS) -o $@

$(UNIT): $(UNIT_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) $(MOCK_LIBS) $$($(PKG) --libs criterion) -o $@

$(B)/tests/mock_lm/%.o: CPPFLAGS += $(shell $(PKG) --cflags libcjson 2>/dev/null)
# libssl-dev may come between two builds: `make demo`, then `make test`, which installs it.
$(B)/mock-tls: FORCE
	@mkdir -p $(@D)
	@echo "$(TLS_LIBS)" | cmp -s - $@ || echo "$(TLS_LIBS)" >$@
FORCE:
$(B)/tests/mock_lm/tls.o: $(B)/mock-tls
$(B)/tests/mock_lm/tls.o: CPPFLAGS += $(if $(TLS_LIBS),-DMOCK_TLS $(shell $(PKG) --cflags openssl))

$(B)/mock-lm: $(MOCK_SRC:%.c=$(B)/%.o) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) $(MOCK_LIBS) -o $@

SCRIPTS := $(sort $(wildcard tests/cluster/*.sh tests/faults/*.sh))

test: ## install what is needed, build, and run all tests
	scripts/install-deps --test
	$(MAKE) -j2 all search-lib mock unit-build
	$(MAKE) unit
	tests/run $(SCRIPTS)

demo: ## a sample job from start to end, with no key and no download
	scripts/install-deps
	$(MAKE) -j2 all mock
	scripts/demo

check: ## everything that a change has to pass: two compilers, format, lint, sanitizers
	scripts/install-deps --check
	scripts/check-includes
	scripts/check-style
	scripts/check-cites
	scripts/golden --with $${DSPY_PYTHON:-build-dspy/bin/python}
	clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')
	$(MAKE) -j2 all search-lib mock unit
	scripts/check-circles
	$(MAKE) -j2 B=build-clang CC=clang all mock
	$(MAKE) tidy
	$(MAKE) -j2 B=build-asan OPT="-O1 -g" SAN="-fsanitize=address,undefined -fno-sanitize-recover=undefined" all mock unit
	PROGRAM=$$PWD/build-asan/dspy-mpi MOCK=$$PWD/build-asan/mock-lm SANITIZED=1 tests/run $(SCRIPTS)

tidy: export TIDY_FLAGS = $(subst ',,$(CPPFLAGS)) -std=c17 $(shell $(MPICC) --showme:compile 2>/dev/null)
tidy: ## clang-tidy
	$(call need,clang-tidy,scripts/install-deps --check installs it)
	printf '%s\n' $(LIB_SRC) $(CMD_SRC) $(MPI_SRC) | xargs -P 2 -n 6 sh -c 'clang-tidy --quiet "$$@" -- $$TIDY_FLAGS' _

# The library that is installed: the search (include/dspy_mpi), which needs nothing but libc. Only what its
# headers declare is seen from outside, in the archive too.
SO      := libdspympi.so.0
OPEN_SRC := $(sort $(wildcard src/search/*.c)) $(patsubst %,src/base/%.c,hash mem random sha256 table)
OPEN_OBJ := $(OPEN_SRC:%.c=$(B)/pic/%.o)
OBJCOPY ?= objcopy

$(B)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden -MMD -MP -c $< -o $@

$(B)/open/$(SO): $(OPEN_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,$(SO) -Wl,--no-undefined $^ -lm -lpthread -o $@

$(B)/open/libdspympi.a: $(OPEN_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(LD) -r $^ -o $(B)/open/dspympi.o
	$(OBJCOPY) --localize-hidden $(B)/open/dspympi.o
	$(AR) rcs $@ $(B)/open/dspympi.o

$(B)/open/dspy-mpi.pc: include/dspy_mpi/version.h FORCE
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: dspy-mpi' \
		'Description: search over a grid of choices from single scores' 'Version: $(VERSION)' \
		'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -ldspympi' 'Libs.private: -lm -lpthread' >$@

# What the program says of itself. SPEAKER: one that runs here, where this one is built for another machine.
SPEAKER ?= $(PROGRAM)
SPOKEN := $(B)/spoken/dspy-mpi.1 $(patsubst %,$(B)/spoken/completion.%,bash zsh fish)
$(SPOKEN): $(PROGRAM)
	@mkdir -p $(@D)
	$(SPEAKER) help $(if $(filter %.1,$@),--man,$(subst .,--completion=,$(suffix $@))) >$@.new
	@mv $@.new $@

man: $(B)/spoken/dspy-mpi.1 ## the manual page (build/spoken/dspy-mpi.1)

schema: $(PROGRAM) ## the schema of job files again (jobs/job.schema.json)
	$(PROGRAM) help --schema >$(B)/job.schema.json
	mv $(B)/job.schema.json jobs/job.schema.json

TO    = $(DESTDIR)$(PREFIX)
SHARE = $(TO)/share/dspy-mpi

search-lib: $(B)/open/$(SO) $(B)/open/libdspympi.a $(B)/open/dspy-mpi.pc ## build the library of the search, which Python's dspy_mpi.Search takes too

install: install-program search-lib ## make install DESTDIR= PREFIX=/usr/local
	install -D -m 755 $(B)/open/$(SO) $(TO)/lib/$(SO)
	ln -sf $(SO) $(TO)/lib/libdspympi.so
	install -D -m 644 $(B)/open/libdspympi.a $(TO)/lib/libdspympi.a
	install -D -m 644 $(B)/open/dspy-mpi.pc $(TO)/lib/pkgconfig/dspy-mpi.pc
	install -D -m 644 -t $(TO)/include/dspy_mpi include/dspy_mpi/*.h

install-program: all $(SPOKEN)
	install -D -m 755 $(PROGRAM) $(TO)/bin/dspy-mpi
	$(if $(TABLES),install -D -m 644 -t $(TO)/lib/dspy-mpi $(TABLES))
	install -D -m 644 $(B)/spoken/dspy-mpi.1 $(TO)/share/man/man1/dspy-mpi.1
	install -D -m 644 $(B)/spoken/completion.bash $(TO)/share/bash-completion/completions/dspy-mpi
	install -D -m 644 $(B)/spoken/completion.zsh $(TO)/share/zsh/site-functions/_dspy-mpi
	install -D -m 644 $(B)/spoken/completion.fish $(TO)/share/fish/vendor_completions.d/dspy-mpi.fish
	install -D -m 755 -t $(SHARE) scripts/metric-host scripts/dspy-host scripts/from-dspy scripts/from-hf scripts/to-mlflow
	install -D -m 644 -t $(SHARE) scripts/from_dspy_watch.py jobs/prices.json
	install -D -m 644 -t $(SHARE)/jobs jobs/README.md jobs/*.json jobs/*.sbatch
	install -D -m 644 -t $(SHARE)/jobs/sample jobs/sample/*
	install -D -m 644 LICENSE $(TO)/share/doc/dspy-mpi/LICENSE

wheel: ## a file that pip installs anywhere (scripts/wheel; TARGET=x86_64, aarch64 or musl)
	$(call need,python3,install Python 3.8 or later with venv)
	scripts/wheel --out=$(B)/wheel $(TARGET)

# Of what is committed. apt-get install ./build/deb/dspy-mpi_*.deb
PACKAGER ?= $(or $(if $(DEBEMAIL),$(DEBFULLNAME) <$(DEBEMAIL)>),$(shell git log -1 --format='%an <%ae>' 2>/dev/null))
deb: export BY = $(PACKAGER)
deb: ## a Debian package of HEAD, in build/deb; needs debhelper; DEBFULLNAME and DEBEMAIL say who makes it
	$(call need,dpkg-buildpackage,apt-get install dpkg-dev debhelper)
	$(call need,dh,apt-get install debhelper)
	$(call need,git,the package is made of what is committed: apt-get install git)
	@git rev-parse -q --verify HEAD >/dev/null || { echo "make deb: the package is made of what is committed, and this folder is no clone of the repository" >&2; exit 69; }
	rm -rf $(B)/deb
	mkdir -p $(B)/deb/dspy-mpi-$(VERSION)
	git archive HEAD | tar -x -C $(B)/deb/dspy-mpi-$(VERSION)
	cp -r scripts/packaging/debian $(B)/deb/dspy-mpi-$(VERSION)/
	by=$$(printf '%s' "$$BY" | sed 's/[\\&/]/\\&/g'); \
		sed -i "s/PACKAGER/$$by/" $(B)/deb/dspy-mpi-$(VERSION)/debian/control $(B)/deb/dspy-mpi-$(VERSION)/debian/changelog
	tar -C $(B)/deb --exclude=debian --sort=name -czf $(B)/deb/dspy-mpi_$(VERSION).orig.tar.gz dspy-mpi-$(VERSION)
	cd $(B)/deb/dspy-mpi-$(VERSION) && env -u CC dpkg-buildpackage -us -uc -b

$(B)/bare-loop: tests/bench/bare_loop.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE $(CFLAGS) $< -lcurl -o $@

bench-bare: $(B)/bare-loop ## build the bare curl loop alone (build/bare-loop)

bench: ## what a call costs, beside a bare curl loop
	scripts/bench

mock: $(MOCK) ## build the mock model server of the tests

$(B)/tests/search-example: tests/search_example.c $(LIB)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $^ -lm -lpthread -o $@

example: $(B)/tests/search-example ## build and run the example of the search library
	$<

unit-build: $(UNIT)

BENCH_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out tests/bench/bare_loop.c,$(sort $(wildcard tests/bench/*.c))))
$(B)/tests/bench-search: $(BENCH_OBJ) $(LIB)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

bench-search: $(B)/tests/bench-search ## how good the samplers are (about 40 minutes on one core)
	nice -n 10 $<

bench-recorded: $(B)/tests/bench-search ## the samplers on recorded score matrices (FOLDER=../shared/recorded)
	nice -n 10 $< recorded folder=$(or $(FOLDER),../shared/recorded)

unit: $(UNIT) example ## unit and golden tests (make unit FILTER='json/*' for some)
	LSAN_OPTIONS="suppressions=tests/lsan.supp print_suppressions=0" $(UNIT) -j2 $(if $(FILTER),--filter '$(FILTER)')

$(B)/tests/%.o: CPPFLAGS += -Itests

$(FUZZERS): $(B)/tests/fuzz/%: $(FUZZ_OBJ) $(LIB) tests/fuzz/main.c
	$(CC) $(CPPFLAGS) -Itests/fuzz $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -DFUZZ=fuzz_$* tests/fuzz/main.c $(FUZZ_OBJ) $(LIB) $(LDLIBS) -o $@

fuzz-build: $(FUZZERS)

mutate: ## do the tests see small wrong changes? (tests/mutants; about ten minutes)
	scripts/mutate

SECONDS ?= 60
fuzz: ## run each fuzz target for SECONDS (clang); FUZZ="json http" for some
	$(MAKE) -j2 B=build-fuzz CC=clang OPT="-O1 -g" SAN="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined" fuzz-build
	scripts/fuzz build-fuzz/tests/fuzz $(SECONDS) $(FUZZ)

# Without optimization gcc warns of what it could have seen to be right.
debug: ## build/debug: for a debugger, without optimization
	$(MAKE) B=$(B)/debug OPT="-O0 -g3" WARN=-Wall all mock

coverage: ## lines that the unit tests reach (gcc, gcov): a figure, and build/coverage.txt by file
	$(MAKE) B=$(B)/coverage OPT="-O0 -g" WARN=-Wall SAN=--coverage mock unit
	scripts/coverage $(B)/coverage >$(B)/coverage.txt
	tail -1 $(B)/coverage.txt

compile_commands.json: ## for editors: how each file is compiled
	$(MAKE) -s -n -B V=1 all mock unit-build | scripts/compile-commands >$@

clean: ## remove what was built
	rm -rf $(B)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: FORCE all man wheel deb schema bench test demo check tidy install install-program mock example bench-search bench-recorded bench-bare search-lib unit-build unit mutate fuzz fuzz-build debug coverage clean help
-include $(BENCH_OBJ:.o=.d) $(LIB_OBJ:.o=.d) $(OPEN_OBJ:.o=.d) $(MPI_ALL:.o=.d) $(ABIS:%=$(B)/mpi-%.d) $(CMD_OBJ:.o=.d) $(UNIT_OBJ:.o=.d) $(MOCK_SRC:%.c=$(B)/%.d)
