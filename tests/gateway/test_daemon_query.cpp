// What a query answers, as text.
#include <random>

#include <doctest/doctest.h>

#include "gateway/daemon/clip_lines.hpp"
#include "gateway/wire/json.hpp"

using namespace hd;

namespace {

// The same line by the general writer, from the fields that docs/protocol.md names.
void write_slowly(wire::JsonWriter& out, const store::ClipRow& row, std::string_view state) {
    out.begin_object()
        .field("camera", row.camera)
        .field("clip", store::clip_path(row))
        .field("begin", row.begin)
        .field("end", row.end)
        .field("bytes", row.size_bytes)
        .field("frames", row.frames)
        .field("state", state)
        .end_object();
}

}  // namespace

TEST_SUITE("gateway/daemon") {
    TEST_CASE("the quick lines of clips are those of the general writer, byte for byte") {
        std::mt19937_64 rng(20261122);
        constexpr std::int64_t kEnd = 253'402'300'800'000'000;  // of the year 9999
        CameraId cameras[3];
        for (CameraId& camera : cameras)
            for (auto& byte : camera.bytes) byte = static_cast<std::uint8_t>(rng());
        for (int round = 0; round < 300; ++round) {
            const std::size_t rows = rng() % 20;
            daemon::ClipLines quick(rows);
            wire::JsonWriter slow;
            slow.begin_array();
            std::int64_t at = static_cast<std::int64_t>(rng() % kEnd);
            for (std::size_t i = 0; i < rows; ++i) {
                store::ClipRow row;
                row.camera = cameras[rng() % 3];
                at = (at + static_cast<std::int64_t>(rng() % 40'000'000'000)) % kEnd;
                row.begin = {at};
                row.end = {at + static_cast<std::int64_t>(rng() % 120'000'000)};
                // Pending clips say any time, also one that no year has.
                row.name_time = {rng() % 8 == 0 ? -static_cast<std::int64_t>(rng() % kEnd) : at};
                if (rng() % 8 == 0) row.begin = {-static_cast<std::int64_t>(rng() % kEnd)};
                row.run = {static_cast<std::uint32_t>(rng())};
                row.size_bytes = rng() >> (rng() % 64);
                row.frames = static_cast<std::uint32_t>(rng());
                quick.add(row, i % 2 ? "open" : "closed");
                write_slowly(slow, row, i % 2 ? "open" : "closed");
            }
            slow.end_array();
            REQUIRE(std::move(quick).take() == slow.text());
        }
    }
}
