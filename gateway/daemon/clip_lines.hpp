// The clips of an answer as JSON, written without a detour: an answer has dozens to thousands of
// lines of one shape, and this is most of what a query costs (docs/decisions/0003-key-layout.md).
// The text is what JsonWriter would write; tests/gateway/test_daemon_query.cpp compares. Pure.
#pragma once

#include <string>
#include <string_view>

#include "index/store/rows.hpp"

namespace hd::daemon {

class ClipLines {
  public:
    explicit ClipLines(std::size_t expected) { out_.reserve(expected * kLineBytes + 2); }

    // `state` is one of our own words.
    void add(const store::ClipRow& row, std::string_view state);
    // A JSON array of all of them.
    std::string take() &&;

  private:
    static constexpr std::size_t kLineBytes = 300;

    void append(std::string_view text) { out_.append(text); }
    void append_number(std::uint64_t v);
    void put_date(char* out, std::int64_t days);
    void put_time(char* out, WallTime t);
    void put_path(char* out, WallTime t, RunId run);
    void start_lines_of(const CameraId& camera);

    std::string out_;  // each line with a comma before it
    CameraId camera_;
    std::string start_;  // of a line of `camera_`, up to the digits of its end; empty at first
    std::size_t path_at_ = 0, begin_at_ = 0, end_at_ = 0;
    std::int64_t days_ = -1;  // since 1970, of `date_`
    char date_[10] = {0, 0, 0, 0, '-', 0, 0, '-', 0, 0};
};

}  // namespace hd::daemon
