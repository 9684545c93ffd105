// A file that takes some space while there is enough, to be given up when there is none: on a full
// disk RocksDB cannot even be opened, and without the index nobody knows which clips may die.
#pragma once

#include <cstdint>
#include <string>

#include "index/base/result.hpp"

namespace hd::daemon {

// Enough for opening an index with its log, manifest and first tables, and for what the recorders
// write until the first retention pass.
constexpr std::uint64_t kBallastBytes = 8ull << 20;
// Less than this and opening the index fails (measured: its files take some 100 KB).
constexpr std::uint64_t kLeastFreeBytes = 2ull << 20;

// Free bytes of the folder's file system for our user.
Result<std::uint64_t> free_bytes_of(const std::string& folder);

// Before the index is opened, and before clips are marked for deletion: gives up the ballast if the
// disk is full. exhausted, with what to do, if that was not enough; an unknown disk is taken for
// one with space.
Result<void> make_room(const std::string& data_folder);

// Now and then: lays the ballast down again if `reserve_bytes` stay free beside it.
void keep_ballast(const std::string& data_folder, std::uint64_t free_bytes,
                  std::uint64_t reserve_bytes);

}  // namespace hd::daemon
