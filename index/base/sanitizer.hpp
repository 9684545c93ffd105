// Whether this is a build with a sanitizer that keeps books of its own beside our memory. Some
// walls cannot stand around such a program; each says so instead.
#pragma once

namespace hd {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HD_SANITIZER 1
#endif
#endif
#ifndef HD_SANITIZER
#define HD_SANITIZER 0
#endif

inline constexpr bool kSanitizer = HD_SANITIZER == 1;

}  // namespace hd
