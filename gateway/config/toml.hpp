// toml++ with one fault taken out: its parser asserts that a table header begins with a key
// character, so "[.x]" would abort the program, or with NDEBUG be undefined (found by
// tests/fuzz/fuzz_config.cpp, toml++ 3.3). With the assertions off and NDEBUG away, the next line
// of its parser reports the error as it should. Include toml++ only through this.
#pragma once

#ifdef NDEBUG
#define HD_TOML_HAD_NDEBUG
#undef NDEBUG
#endif
#define TOML_ASSERT(expr) static_cast<void>(0)
// The library's own build has the same fault; ours is compiled here.
#undef TOML_HEADER_ONLY
#define TOML_HEADER_ONLY 1
#undef TOML_SHARED_LIB

#include <toml++/toml.h>

#ifdef HD_TOML_HAD_NDEBUG
#define NDEBUG
#undef HD_TOML_HAD_NDEBUG
#endif
