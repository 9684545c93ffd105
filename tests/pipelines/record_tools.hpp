// Frames, formats and sinks for the recorder's tests.
#pragma once

#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "index/seal/seal.hpp"
#include "pipelines/record/clip_session.hpp"

namespace hd::test {

// Takes everything, keeps it.
class JobList final : public record::DiskSink {
  public:
    bool offer(record::DiskJob job) override {
        jobs.push_back(std::move(job));
        return true;
    }
    template <typename T>
    std::vector<T> all() const {
        std::vector<T> out;
        for (const auto& job : jobs)
            if (const T* t = std::get_if<T>(&job)) out.push_back(*t);
        return out;
    }
    std::vector<record::DiskJob> jobs;
};

// Parameters that an MP4 writer takes; no decoder sees these streams.
inline ingest::StreamFormat some_format(std::uint8_t level = 0x1f) {
    return {.codec = ingest::Codec::h264,
            .width = 1280,
            .height = 720,
            .codec_config = Bytes{1, 0x4d, 0x40, level, 0xff, 0xe1, 0, 4, 0x67, 0x4d, 0x40, level,
                                  1, 0, 4, 0x68, 0xee, 0x3c, 0x80},
            .rfc6381 = "avc1.4D40" + std::string(level == 0x1f ? "1F" : "20"),
            .encoder = "camera",
            .encoder_why = "test",
            .frame_duration = Micros(40'000)};
}

inline ingest::Frame some_frame(BootTime dts, bool key, std::size_t size = 100,
                                Micros pts_delay = Micros(0)) {
    auto bytes = std::make_shared<Bytes>(size, std::uint8_t{0x5a});
    const auto n = static_cast<std::uint32_t>(size - 4);
    for (int i = 0; i < 4; ++i)
        (*bytes)[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(n >> (24 - 8 * i));
    (*bytes)[4] = key ? 0x65 : 0x41;
    return {.bytes = *bytes,
            .owner = bytes,
            .pts = dts + pts_delay,
            .dts = dts,
            .idr = key,
            .cra = false};
}

inline record::SessionPlan some_plan(const seal::Identity& owner) {
    return {.camera = {{1, 2, 3}},
            .hub = {{4, 5, 6}},
            .policy_number = 3,
            .policy_hash = {},
            .recipients = {owner.recipient},
            .limits = {},
            .activity = false,
            .longest_frame = std::chrono::seconds(3)};
}

inline record::TimeBase some_time() {
    return {.boot = {{7}},
            .wall_minus_boot = Micros(1'795'000'000'000'000),
            .quality = ClockQuality::synchronised};
}

// A session, the owner that it seals to, and all that it wrote.
struct SessionBench {
    seal::Identity owner = seal::generate_identity();
    JobList disk;
    std::uint8_t next_clip = 1;
    record::ActivityWatch activity;  // idle, unless the plan wants it
    record::ClipSession session{some_plan(owner),
                                {.disk = disk,
                                 .new_clip_id = [this] { return ClipId{{next_clip++}}; },
                                 .time_base = [] { return some_time(); },
                                 .activity = &activity}};

    // The pieces of one clip, opened and put together.
    Bytes opened(ClipId clip, bool with_sound = true) {
        Bytes out;
        for (const record::WritePiece& p : disk.all<record::WritePiece>()) {
            if (p.identity.clip != clip) continue;
            if (p.identity.kind == clip::PieceKind::audio && !with_sound) continue;
            auto plain = seal::open(p.age_file, {&owner, 1});
            REQUIRE_MESSAGE(plain.ok(), (plain.ok() ? "" : plain.error().what));
            out.insert(out.end(), plain->begin(), plain->end());
        }
        return out;
    }
};

}  // namespace hd::test
