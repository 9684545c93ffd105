// Both readers under the faults of halfdoor-replay: all at once, each at a camera of its own, so
// that the whole takes a few seconds. A camera without a fault says which pictures are right.
#include <map>
#include <set>
#include <thread>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "index/base/clock.hpp"
#include "index/base/crypto.hpp"
#include "pipelines/ingest/encoder_desk.hpp"
#include "pipelines/ingest/source.hpp"
#include "tests/support/replay_child.hpp"
#include "tools/replay/annexb.hpp"

namespace hd::ingest {
namespace {

using namespace std::chrono_literals;

constexpr Micros kWatch = 6s;
constexpr int kRate = 25;

// The slices of a frame: what is left without the counter's SEI, which is never the same.
std::string picture_of(ByteView frame) {
    Bytes slices;
    while (frame.size() > 4) {
        const std::size_t size = std::size_t{frame[0]} << 24 | std::size_t{frame[1]} << 16 |
                                 std::size_t{frame[2]} << 8 | frame[3];
        if (size > frame.size() - 4) return {};
        const ByteView nal = frame.subspan(4, size);
        if (!nal.empty() && (nal[0] & 31u) <= 5)
            slices.insert(slices.end(), nal.begin(), nal.end());
        frame = frame.subspan(4 + size);
    }
    const Digest digest = sha256(slices);
    return {digest.begin(), digest.end()};
}

struct Seen {
    std::vector<std::uint64_t> numbers;
    std::vector<std::string> pictures;
    std::vector<BootTime> pts, arrivals;
    std::size_t formats = 0;
    bool ordered = true;
    std::optional<Lost> lost;
    SourceStats stats;

    std::uint64_t missing() const {
        return numbers.empty() ? 0 : numbers.back() - numbers.front() + 1 - numbers.size();
    }
    Micros longest_step() const {
        Micros out{0};
        for (std::size_t i = 1; i < pts.size(); ++i) out = std::max(out, pts[i] - pts[i - 1]);
        return out;
    }
    // How far times are from arrivals at worst, once the clock has settled.
    Micros worst_time() const {
        Micros out{0};
        for (std::size_t i = kRate; i < pts.size(); ++i)
            out = std::max(out, std::max(pts[i] - arrivals[i], arrivals[i] - pts[i]));
        return out;
    }
};

Seen watch(const std::string& url, link::RtspReader reader) {
    link::RecorderSettings settings;
    settings.url = url;
    settings.reader = reader;
    Seen seen;
    Ingress ingress({});
    const auto source =
        make_rtsp_source(settings, system_clock(), ingress, std::make_shared<EncoderDesk>());
    if (!source->start()) return seen;
    const BootTime until = system_clock().boot() + kWatch;
    BootTime last{0};
    while (!seen.lost && system_clock().boot() < until) {
        const auto event = ingress.pop(100ms);
        if (!event) continue;
        if (std::holds_alternative<StreamFormat>(*event)) ++seen.formats;
        if (const auto* lost = std::get_if<Lost>(&*event)) seen.lost = *lost;
        const auto* frame = std::get_if<Frame>(&*event);
        if (!frame) continue;
        if (const auto counter = replay::find_counter(frame->bytes))
            seen.numbers.push_back(counter->number);
        seen.ordered = seen.ordered && frame->dts > last && frame->dts <= frame->pts;
        last = frame->dts;
        seen.pts.push_back(frame->pts);
        seen.arrivals.push_back(system_clock().boot());
        seen.pictures.push_back(picture_of(frame->bytes));
    }
    seen.stats = source->stats();
    source->stop(system_clock().boot() + 5s).ignore();
    return seen;
}

// Camera n has fault n; the first has none.
const std::vector<std::string> kFaults{"",
                                       "loss,1.5,30,3",
                                       "reorder,1.5,20,3",
                                       "truncate,1.5,10,2",
                                       "garble,1.5,10,2",
                                       "rtpjump,2,10",
                                       "rtpjump,2,-3",
                                       "rtpjump,2,20000",
                                       "drift,0,500",
                                       "noise,2,5000",
                                       "slow,0,0.3",
                                       "trickle,2,3000,1",
                                       "switch,2,2",
                                       "skip,2,5",
                                       "stall,2,1",
                                       "refuse,0,60"};

using ByFault = std::map<std::string, Seen>;

// Both readers at once, at the same cameras.
std::map<link::RtspReader, ByFault> watch_all() {
    std::vector<std::string> arguments{"--counter", "--generate",
                                       "h264:160x120@25:gop=10:kbit=1000:seconds=2,"
                                       "h264:96x96@25:gop=10:kbit=1000:seconds=2",
                                       "--cameras", std::to_string(2 * kFaults.size())};
    for (std::size_t i = 0; i < kFaults.size(); ++i) {
        if (kFaults[i].empty()) continue;
        arguments.push_back("--fault");
        arguments.push_back(std::to_string(2 * i + 1) + "," + kFaults[i]);
    }
    const test::ReplayChild cameras(arguments);
    std::map<link::RtspReader, ByFault> out;
    std::vector<std::jthread> watchers;
    for (const auto reader : {link::RtspReader::lean, link::RtspReader::gstreamer})
        for (std::size_t i = 0; i < kFaults.size(); ++i) {
            const std::string name = i == 0 ? "h264-120p" : fmt::format("h264-120p-{}", i + 1);
            watchers.emplace_back([reader, url = cameras.url(name),
                                   &seen = out[reader][kFaults[i]]] { seen = watch(url, reader); });
        }
    watchers.clear();  // joins
    return out;
}

void check_all(const ByFault& all, bool lean) {
    const Seen& clean = all.at("");
    REQUIRE(clean.numbers.size() > 4 * kRate);
    CHECK(clean.missing() == 0);
    const std::set<std::string> right(clean.pictures.begin(), clean.pictures.end());
    for (const auto& entry : all) {
        const auto& fault = entry.first;
        const Seen& seen = entry.second;
        CAPTURE(fault);
        CAPTURE((seen.lost ? seen.lost->detail : std::string()));
        CHECK(seen.ordered);
        if (fault == "refuse,0,60") {
            REQUIRE(seen.lost.has_value());
            CHECK(seen.lost->cause == journal::GapCause::refused);
            continue;
        }
        // GStreamer may take garbage for the end; the recorder connects again then.
        if ((fault.starts_with("noise") || fault.starts_with("garble")) && !lean) continue;
        CHECK_FALSE(seen.lost.has_value());
        CHECK(seen.numbers.size() > 3 * kRate);
        const bool damages = fault.starts_with("truncate") || fault.starts_with("garble");
        // A picture that came with a hole is left out, never recorded as whole.
        if (!damages && !fault.starts_with("switch") && lean)
            for (const std::string& picture : seen.pictures) CHECK(right.contains(picture));
        if (fault.starts_with("loss")) {
            CHECK(seen.missing() > 0);
            if (lean) CHECK(seen.stats.unusable_frames > 0);
        } else if (fault.starts_with("skip")) {
            CHECK(seen.missing() == 5);
        } else if (fault.starts_with("stall")) {
            CHECK(seen.missing() >= kRate - 1);
            CHECK(seen.missing() <= kRate + 1);
            CHECK(seen.longest_step() > 900ms);
        } else if (fault.starts_with("noise")) {
            CHECK(seen.missing() <= 4);
        } else if (!damages) {
            CHECK(seen.missing() == 0);
        }
        if (fault.starts_with("switch")) CHECK(seen.formats == 2);
        if (fault.starts_with("rtpjump") || fault.starts_with("drift"))
            CHECK(seen.longest_step() < 600ms);  // A loaded machine is slow by itself.
        if (!fault.starts_with("trickle") && !fault.starts_with("slow"))
            CHECK(seen.worst_time() < 600ms);
    }
}

}  // namespace

TEST_SUITE("pipelines/ingest/faults") {
    TEST_CASE("the lean reader loses what a fault takes and nothing else; GStreamer gets through") {
        REQUIRE(init_gstreamer().ok());
        const auto all = watch_all();
        check_all(all.at(link::RtspReader::lean), true);
        check_all(all.at(link::RtspReader::gstreamer), false);
    }
}

}  // namespace hd::ingest
