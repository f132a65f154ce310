// The border between the two regimes, made checkable: every header below src/core and src/http
// includes this one last, so a server header in front of any of them does not compile.
#pragma once
#ifdef POSTGRES_H
#error "a header of the pure C++ part was included after postgres.h: include it before"
#endif
