# Rookery: one non-recursive Makefile. Targets, as `make help` shows them:
#
#   make              the two daemons, build/rookery-gateway and build/rookery-worker
#   make check        scripts/test: every test, against servers of their own
#   make install      into PREFIX (/usr/local), below DESTDIR: the daemons, their man pages and this documentation
#   make dist         build/rookery-VERSION.tar.gz, of the last commit
#   make man          the man pages, from what --help says, in build/man/
#   make tools        the load generator and the other programs the tests and the benchmarks use
#   make tests        every unit-test program, in build/tests/
#   make fuzz         the libFuzzer targets, with clang, in build-fuzz/tests/fuzz/
#   make format       rewrite the sources with clang-format, and break wide comments
#   make lint         check the format, the width of comments, the direction of includes, circles, SQL, words, the protos,
#                     migrations, and what "make docs" writes
#   make docs         write again what is generated: docs/api.md, configuration.md, metrics.md and limits.md, and README's
#                     table of settings
#   make clean        remove the build folder
#
#   BUILD=FOLDER      another build folder
#   CC=clang          another compiler
#   SANITIZE=1        with AddressSanitizer and UndefinedBehaviorSanitizer (use another BUILD= to keep both)
#   WERROR=           warnings do not stop the build: for packagers, whose compiler may be newer
#   CFLAGS=, LDFLAGS= added to ours
#
# Sources are found by folder: a new .c file needs no line here, nor does the .sql file beside it.

BUILD ?= build
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
CXX := $(if $(filter default,$(origin CXX)),g++,$(CXX))
PROTO_INCLUDES := -Iproto -Itests/proto -I/usr/include
VERSION := $(shell cat VERSION)
PREFIX ?= /usr/local

# Libraries, and the first version that has what is used (libpq: pipeline mode).
REQUIRED := libuv:1.42 libnghttp2:1.43 hiredis:0.14 libprotobuf-c:1.3 jansson:2.13 libsodium:1.0.18 libpq:14 libutf8proc:2.5 zlib:1.2.11
PKGS := $(foreach p,$(REQUIRED),$(firstword $(subst :, ,$(p))))
ifeq ($(filter help clean dist format,$(MAKECMDGOALS)),)
TOO_OLD := $(foreach p,$(REQUIRED),$(shell pkg-config --atleast-version=$(lastword $(subst :, ,$(p))) $(firstword $(subst :, ,$(p))) 2>/dev/null || echo "$(firstword $(subst :, ,$(p))) $(lastword $(subst :, ,$(p)))"))
ifneq ($(strip $(TOO_OLD)),)
$(error Rookery needs these libraries, in at least these versions, with their headers: $(TOO_OLD). On Debian, scripts/setup installs them)
endif
endif

WERROR ?= 1
WARN := -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla $(if $(filter-out 0,$(WERROR)),-Werror)
HARDEN := -fstack-protector-strong -fstack-clash-protection -fPIE $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),-fcf-protection)
FORTIFY := -U_FORTIFY_SOURCE $(if $(SANITIZE)$(FUZZ),,-D_FORTIFY_SOURCE=2)
CFLAGS_ALL := -std=c11 -D_GNU_SOURCE -O2 -g -fno-omit-frame-pointer -fno-plt $(HARDEN) $(WARN) $(CFLAGS)
CPPFLAGS_ALL := $(FORTIFY) -I. -I$(BUILD) -I$(BUILD)/proto $(shell pkg-config --cflags $(PKGS) 2>/dev/null) -I/usr/include/postgresql $(CPPFLAGS)
LDLIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -llapacke -lopenblas -lm -lpthread
LDFLAGS_ALL := -pie -Wl,--as-needed -Wl,-z,relro,-z,now $(LDFLAGS)
ifdef SANITIZE
CFLAGS_ALL += -fsanitize=address,undefined -fno-sanitize-recover=undefined -O1
LDFLAGS_ALL += -fsanitize=address,undefined
endif
ifdef FUZZ
CFLAGS_ALL += -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
endif
ifneq ($(shell $(CC) --version 2>/dev/null | grep -c clang),0)
CFLAGS_ALL += -Wno-gnu-zero-variadic-macro-arguments
else
# gcc 12 takes a waiter on a fiber's stack, linked into a queue while the fiber is parked, for an escaped pointer.
CFLAGS_ALL += -Wno-dangling-pointer
# Also in headers: a statement that no code runs.
CFLAGS_ALL += -Wunused-const-variable=2
endif

# --- the contract: protobuf sources, generated C, and the descriptor set that reflection serves -----------------
PROTOS := $(shell find proto -name '*.proto' 2>/dev/null | sed 's,^proto/,,' | sort)
PROTOS_STD := google/protobuf/timestamp.proto google/protobuf/duration.proto
# What methods and fields say of themselves is for the generator of their tables, and for nobody else's C.
PROTO_OPTIONS := rookery/v1/options.proto
PB_C := $(patsubst %.proto,$(BUILD)/proto/%.pb-c.c,$(filter-out $(PROTO_OPTIONS),$(PROTOS)) $(PROTOS_STD))
PB_O := $(PB_C:.c=.o)
DESCRIPTORS := $(BUILD)/proto/descriptors.bin
# Messages for tests: tests/proto, linked into the tests and the fuzz targets only.
TEST_PROTOS := $(shell find tests/proto -name '*.proto' 2>/dev/null | sed 's,^tests/proto/,,' | sort)
TEST_PB_C := $(patsubst %.proto,$(BUILD)/proto/%.pb-c.c,$(TEST_PROTOS))

# --- the rooms --------------------------------------------------------------------------------------------------
CORE_C := $(sort $(wildcard core/*/*.c core/*/*/*.c))
GATEWAY_C := $(sort $(filter-out gateway/main.c,$(wildcard gateway/*.c gateway/*/*.c gateway/*/*/*.c)))
WORKERS_C := $(sort $(filter-out workers/main.c,$(wildcard workers/*.c workers/*/*.c workers/*/*/*.c)))
objects = $(patsubst %.c,$(BUILD)/%.o,$(1))
CORE_LIB := $(BUILD)/libcore.a
GATEWAY_LIB := $(BUILD)/libgateway.a
WORKERS_LIB := $(BUILD)/libworkers.a
TEST_PB_LIB := $(BUILD)/libtestproto.a

TEST_C := $(sort $(shell find tests/unit tests/integration -name 'test_*.c'))
TEST_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TEST_C))
# tests/fuzz/fuzz_X.c is a libFuzzer target (make fuzz); here it is linked with replay.c, which runs seeded mutations.
FUZZ_C := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(FUZZ_C))
FUZZ_MAIN := $(if $(FUZZ),-fsanitize=fuzzer,$(BUILD)/tests/fuzz/replay.o)
# A tool is one folder below tests/load or tests/tools: all of its .c files make one program of the folder's name.
TOOL_DIRS := $(sort $(dir $(wildcard tests/load/*/*.c tests/tools/*/*.c)))
TOOL_BIN := $(foreach d,$(TOOL_DIRS),$(BUILD)/$(notdir $(d:/=))) $(BUILD)/stepclock.so

# Keep intermediate files: otherwise make removes them, and builds them again each time.
.SECONDARY:

.PHONY: all help check install dist man docs daemons tools tests fuzz proto format lint clean
all: daemons
daemons: $(BUILD)/rookery-gateway $(BUILD)/rookery-worker
tools: $(TOOL_BIN)
tests: $(TEST_BIN) $(FUZZ_BIN)
ifdef FUZZ
fuzz: $(FUZZ_BIN)
else
fuzz:
	$(MAKE) FUZZ=1 CC=clang BUILD=$(BUILD)-fuzz fuzz
endif
proto: $(PB_C) $(DESCRIPTORS)
help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile
check:
	scripts/test

MAN := $(BUILD)/man/rookery-gateway.1 $(BUILD)/man/rookery-worker.1
man: $(MAN)
$(BUILD)/man/%.1: $(BUILD)/% scripts/generate/man
	@mkdir -p $(@D)
	scripts/generate/man $< $(VERSION) >$@.new
	mv $@.new $@
install: daemons man
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(BUILD)/rookery-gateway $(BUILD)/rookery-worker
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(MAN)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/rookery README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/rookery/docs docs/*.md
dist:
	@mkdir -p $(BUILD)
	git archive --prefix=rookery-$(VERSION)/ -o $(BUILD)/rookery-$(VERSION).tar.gz HEAD

$(BUILD)/rookery-gateway: $(BUILD)/gateway/main.o $(GATEWAY_LIB) $(CORE_LIB)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS)
$(BUILD)/rookery-worker: $(BUILD)/workers/main.o $(WORKERS_LIB) $(CORE_LIB)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS)

$(CORE_LIB): $(call objects,$(CORE_C)) $(PB_O)
$(GATEWAY_LIB): $(call objects,$(GATEWAY_C))
$(WORKERS_LIB): $(call objects,$(WORKERS_C))
$(TEST_PB_LIB): $(TEST_PB_C:.c=.o)
$(CORE_LIB) $(GATEWAY_LIB) $(WORKERS_LIB) $(TEST_PB_LIB):
	@rm -f $@
	$(AR) rcs $@ $^

# What several tests share (servers they start, fibers they run).
SUPPORT_LIB := $(BUILD)/libsupport.a
$(SUPPORT_LIB): $(call objects,$(sort $(wildcard tests/unit/support/*.c)))
	@rm -f $@
	$(AR) rcs $@ $^
TEST_LIBS := $(SUPPORT_LIB) $(TEST_PB_LIB) $(GATEWAY_LIB) $(WORKERS_LIB) $(CORE_LIB)
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_LIBS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(LDLIBS)
$(FUZZ_BIN): $(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(filter %.o,$(FUZZ_MAIN)) $(TEST_LIBS)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $(filter -f%,$(FUZZ_MAIN)) $^ $(LDLIBS)

define tool_rule
$(BUILD)/$(notdir $(1:/=)): $(call objects,$(wildcard $(1)*.c)) $(CORE_LIB)
	$$(CC) $$(CFLAGS_ALL) $$(LDFLAGS_ALL) -o $$@ $$^ $$(LDLIBS)
endef
$(foreach d,$(TOOL_DIRS),$(eval $(call tool_rule,$(d))))

# Also loaded into servers that are not ours: never with sanitizers.
$(BUILD)/stepclock.so: tests/tools/stepclock.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize% -fno-sanitize%,$(CFLAGS_ALL)) -shared -fPIC -o $@ $<

# Every object waits for the generated headers, so that a first parallel build finds them.
$(BUILD)/%.o: %.c | $(PB_C) $(TEST_PB_C)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<
# protoc-c's output is compiled without our warnings; again when the flags may have changed, since most of it never does.
$(BUILD)/proto/%.pb-c.o: $(BUILD)/proto/%.pb-c.c Makefile | $(PB_C) $(TEST_PB_C)
	$(CC) $(CPPFLAGS_ALL) $(filter-out -W%,$(CFLAGS_ALL)) -c -o $@ $<
# Services are left out: protoc-c's code for them is not used, and fails for a method called Register. Files import
# one another, so all of them are written before the first is compiled. The header is a target too, so that files that
# include it are compiled again.
MESSAGES := $(addprefix $(BUILD)/messages/,$(filter-out $(PROTO_OPTIONS),$(PROTOS)))
$(BUILD)/messages/%.proto: proto/%.proto Makefile
	@mkdir -p $(@D)
	sed -e '/^service /,/^}/d' -e '\,^import "$(PROTO_OPTIONS)",d' -e 's/ \[([^]]*\]//' $< >$@
$(BUILD)/proto/%.pb-c.c $(BUILD)/proto/%.pb-c.h: $(BUILD)/messages/%.proto | $(MESSAGES)
	@mkdir -p $(BUILD)/proto
	protoc-c -I$(BUILD)/messages $(PROTO_INCLUDES) --c_out=$(BUILD)/proto $<
$(BUILD)/proto/%.pb-c.c $(BUILD)/proto/%.pb-c.h: tests/proto/%.proto
	@mkdir -p $(BUILD)/proto
	protoc-c $(PROTO_INCLUDES) --c_out=$(BUILD)/proto $<
$(BUILD)/proto/google/%.pb-c.c $(BUILD)/proto/google/%.pb-c.h: /usr/include/google/%.proto
	@mkdir -p $(BUILD)/proto
	protoc-c $(PROTO_INCLUDES) --c_out=$(BUILD)/proto $<
$(DESCRIPTORS): $(addprefix proto/,$(PROTOS))
	@mkdir -p $(@D)
	protoc $(PROTO_INCLUDES) --include_imports --descriptor_set_out=$@ $(PROTOS) $(PROTOS_STD)
# siglongjmp switches between stacks, which _FORTIFY_SOURCE's longjmp check refuses.
$(BUILD)/core/async/fiber.o: CPPFLAGS_ALL += -U_FORTIFY_SOURCE
$(BUILD)/core/process/process.o: CPPFLAGS_ALL += -DROOKERY_VERSION='"$(VERSION)"'
$(BUILD)/core/process/process.o: VERSION
# The descriptor set is embedded with .incbin, from the build folder.
$(BUILD)/core/codec/descriptors.o: CPPFLAGS_ALL += -DDESCRIPTORS_BIN='"$(DESCRIPTORS)"'
$(BUILD)/core/codec/descriptors.o: $(DESCRIPTORS)
# The tables of the API's methods and of the rules for texts are made of the descriptor set.
SERVICES := $(BUILD)/proto/services.def $(BUILD)/proto/services.pb-c.h
$(BUILD)/generate/%: $(BUILD)/scripts/generate/%.o $(BUILD)/core/codec/wire.o $(BUILD)/core/base/str.o $(BUILD)/core/base/arena.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ -lm
# X.sql, beside X.c, becomes a header of statements, which X.c includes as "ROOM/X.sql.h". A list has all statements;
# names in it are unique, and a test prepares each of them. (It also depends on the folders, since a file may have
# been removed.)
SQL := $(sort $(wildcard $(patsubst %.c,%.sql,$(CORE_C) gateway/main.c $(GATEWAY_C) workers/main.c $(WORKERS_C))))
STATEMENTS := $(BUILD)/statements.def
$(BUILD)/%.sql.h: %.sql $(BUILD)/generate/statements
	@mkdir -p $(@D)
	$(BUILD)/generate/statements $< >$@.new
	mv $@.new $@
$(SQL:%.sql=$(BUILD)/%.o): $(BUILD)/%.o: $(BUILD)/%.sql.h
$(STATEMENTS): $(BUILD)/generate/statements $(SQL) $(addsuffix .,$(sort $(dir $(SQL))))
	$(BUILD)/generate/statements --list $(SQL) >$@.new
	mv $@.new $@
daemons: $(STATEMENTS)
$(BUILD)/tests/unit/core/store/migrate/test_statements.o: $(STATEMENTS)
$(BUILD)/proto/services.def: $(BUILD)/generate/services $(DESCRIPTORS)
	$^ >$@.new
	mv $@.new $@
$(BUILD)/proto/services.pb-c.h: $(BUILD)/generate/services $(DESCRIPTORS)
	$< --headers $(DESCRIPTORS) >$@.new
	mv $@.new $@
# The API's table is included by the gateway, and by these tests.
SERVICE_TESTS := $(wildcard tests/unit/workers/test_whole.c tests/fuzz/fuzz_request.c)
$(call objects,$(wildcard gateway/*.c) $(GATEWAY_C) $(SERVICE_TESTS)): | $(SERVICES)
$(BUILD)/gateway/service/service.o: $(SERVICES)
# SQL migrations are embedded the same way (core/store/migrate/migrations/*.sql).
MIGRATIONS := $(sort $(wildcard core/store/migrate/migrations/*.sql))
MIGRATIONS_LIST := $(BUILD)/core/store/migrate/migrations.list
# The folder too: a file may have gone. (With "/." because make knows how to link a "migrations" from migrations.c.)
$(MIGRATIONS_LIST): core/store/migrate/migrations/. $(MIGRATIONS)
	@mkdir -p $(@D)
	@for f in $(MIGRATIONS); do n=$$(basename $$f .sql); \
	    echo "MIGRATION($$(expr "$$n" : '0*\([0-9]*\)_'), \"$$n\", \"$$f\")"; done >$@
$(BUILD)/core/store/migrate/migrations.o: CPPFLAGS_ALL += -DMIGRATIONS_LIST='"$(MIGRATIONS_LIST)"'
$(BUILD)/core/store/migrate/migrations.o: $(MIGRATIONS_LIST)

SOURCES = $(shell git ls-files '*.c' '*.h' '*.cc')
# Versions of clang-format differ in what they write; Debian 12's is the judge where it is installed.
CLANG_FORMAT ?= $(shell command -v clang-format-14 || echo clang-format)
format:
	$(CLANG_FORMAT) -i $(SOURCES)
	scripts/check-width --wrap
lint: daemons
	$(CLANG_FORMAT) --dry-run -Werror $(SOURCES)
	scripts/check-includes
	scripts/check-circles $(BUILD)
	scripts/check-sql
	scripts/check-words
	scripts/check-width
	scripts/check-protos
	scripts/check-migrations
	scripts/generate/docs --check $(BUILD)
# Writes the parts of docs/ that are generated.
docs: daemons
	scripts/generate/docs $(BUILD)
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
