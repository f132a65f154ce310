# PGXS is the truth for building and installing:   make && sudo make install
# CMakeLists.txt builds the pure C++ parts with their tests;   scripts/check   runs everything.
# For tests:   make WERROR=1 PG_SEATS_TEST=1   (after `make clean`, if it was built without).

EXTENSION = pg_seats
# The version stands in pg_seats.control and nowhere else.
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" pg_seats.control)

MODULE_big = pg_seats
SOURCES := $(wildcard src/*/*.cpp)
OBJS := $(SOURCES:.cpp=.o)

# The install script is its files in the order that src/schema/order says.
# (Not called INSTALL_SCRIPT: PGXS means the program `install` by that, and the rule below would
# write our SQL over /usr/bin/install.)
SCHEMA := $(addprefix src/schema/,$(shell sed '/^\#/d' src/schema/order))
EXTENSION_SCRIPT := pg_seats--$(EXTVERSION).sql
DATA_built = $(EXTENSION_SCRIPT)

TESTS := $(shell sed -n 's/^test: *//p' sql/schedule 2>/dev/null)
REGRESS = $(TESTS)
ISOLATION = $(shell sed -n 's/^test: *//p' test/isolation/schedule 2>/dev/null)
ISOLATION_OPTS = --inputdir=test/isolation --outputdir=output_iso

# A module that only a test loads (test/scenarios/03_border.pl); it is not installed.
BORDER_MODULE = test/border/border.so
BORDER_OBJS = test/border/border.o test/border/commit.o test/border/secret.o \
    $(addprefix src/pg/,error.o log.o secrets.o secrets_directory.o settings.o transaction.o)
# What these tests put in front of the server's and the C library's own.
BORDER_WRAPS = pgstat_report_stat explicit_bzero __explicit_bzero_chk

RELEASE_OBJS := $(patsubst %.cpp,%.release.o,$(shell grep -l PG_SEATS_TEST $(SOURCES)))

EXTRA_CLEAN = $(EXTENSION_SCRIPT) $(RELEASE_OBJS) $(RELEASE_OBJS:.o=.d) $(SOURCES:.cpp=.d) output_iso \
    $(BORDER_MODULE) $(BORDER_OBJS) $(BORDER_OBJS:.o=.d)

PG_CONFIG ?= pg_config
PG_CPPFLAGS = -Isrc -isystem $(shell $(PG_CONFIG) --includedir-server) \
    -DPG_SEATS_VERSION='"$(EXTVERSION)"'
PG_CXXFLAGS = -std=c++20 -fvisibility=hidden -Wall -Wextra -Wshadow -Wnon-virtual-dtor -MMD -MP
# Whoever packages this has another compiler, with other warnings: only scripts/check makes them errors.
ifdef WERROR
PG_CXXFLAGS += -Werror
endif
# With debug points, for the scenarios (src/pg/debug_point.hpp).
ifdef PG_SEATS_TEST
PG_CPPFLAGS += -DPG_SEATS_TEST
endif
SHLIB_LINK = -lcurl -ljansson -lsimdjson -lstdc++

# LLVM bitcode serves to inline SQL functions into queries; nothing here would gain from it, and
# PGXS does not hand the C++ flags to that step.
override with_llvm := no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Debian's flags for PostgreSQL 17 and later hold one that g++ 12 does not know.
override CXXFLAGS := $(filter-out -fexcess-precision=standard,$(CXXFLAGS))

ifeq ($(shell expr $(MAJORVERSION) \< 15),1)
$(error pg_seats needs PostgreSQL 15 or later, and $(PG_CONFIG) is of $(MAJORVERSION))
endif

$(EXTENSION_SCRIPT): $(SCHEMA) src/schema/order pg_seats.control
	cat $(SCHEMA) > $@

# What has the version compiled in is compiled again when it changes.
$(patsubst %.cpp,%.o,$(shell grep -l PG_SEATS_VERSION $(SOURCES))): pg_seats.control

test-modules: $(BORDER_MODULE)
.PHONY: test-modules

# What is not as in builds for tests compiles all the same.
release-objects: $(RELEASE_OBJS)
.PHONY: release-objects

%.release.o: %.cpp
	$(CXX) $(CXXFLAGS) $(filter-out -DPG_SEATS_TEST,$(CPPFLAGS)) -c -o $@ $<

$(BORDER_MODULE): $(BORDER_OBJS)
	$(CXX) $(CXXFLAGS) $(LDFLAGS) -shared $(BORDER_WRAPS:%=-Wl,--wrap=%) -o $@ $^

-include $(SOURCES:.cpp=.d) $(BORDER_OBJS:.o=.d) $(RELEASE_OBJS:.o=.d)
