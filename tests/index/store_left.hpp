// What a store that could not write leaves to the next process.
#pragma once

#include <filesystem>

#include <doctest/doctest.h>

#include "tests/index/store_model.hpp"

namespace hd::test {

// The clips that are put until one cannot be: of one camera, a minute each.
inline clip::ClipSummary nth_clip(int n) {
    return make_clip(0, kEpoch + Micros(n * 60 * kSecond), Micros(60 * kSecond));
}

// The disk is well again, and still: RocksDB would assert.
inline void check_left_alone(store::Store& store, int kept) {
    CHECK(store.failed());
    CHECK(store.put_clip(nth_clip(kept)).error().code == ErrorCode::unavailable);
    CHECK(store.sync().error().code == ErrorCode::unavailable);
}

// The lock of `index` is this process's until it ends; another one finds the files as the copy.
inline void check_next_process(const std::string& index, const std::string& copy, int kept) {
    std::filesystem::copy(index, copy);
    store::OpenReport report;
    auto again = store::Store::open(copy, {}, kEpoch, report);
    REQUIRE(again.ok());
    CHECK(report.moved_aside.empty());
    CHECK((*again)->totals(nth_clip(0).camera).clips == static_cast<std::uint64_t>(kept));
    CHECK((*again)->put_clip(nth_clip(kept)).ok());
    CHECK(!(*again)->failed());
}

}  // namespace hd::test
