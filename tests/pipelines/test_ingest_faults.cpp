// The reader, over TCP and over UDP, under the faults of halfdoor-replay: all at once, each at a
// camera of its own, so that the whole takes a few seconds. A camera without a fault says
// which pictures are right.
#include <atomic>
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

// What is over, and what is right, is told by the frames' numbers and the times at which they were
// sent, so a machine that is slow makes the test slow and nothing else.
constexpr Micros kPatience = 90s;
constexpr int kRate = 25;
constexpr std::int64_t kFrameUs = 1'000'000 / kRate;
constexpr std::size_t kBefore = 35, kAfter = 100;  // frames before and after the faults begin

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
    // Of the frames with a number: what the reader says, when it was sent, when it was there.
    std::vector<std::int64_t> pts_us, sent_us, arrived_us;
    std::size_t formats = 0;
    bool ordered = true;
    std::optional<Lost> lost;
    SourceStats stats;

    std::uint64_t missing() const {
        return numbers.empty() ? 0 : numbers.back() - numbers.front() + 1 - numbers.size();
    }

    // How far times are at worst outside of what the camera's punctuality allows, once the clock
    // has settled. Frames are kFrameUs apart by their numbers; how late the camera sent the
    // promptest, and how late the slowest was there, bound what a reader can know.
    Micros worst_time() const {
        const auto due = [&](std::size_t i) {
            return static_cast<std::int64_t>(numbers[i]) * kFrameUs;
        };
        std::int64_t first = INT64_MAX, last = INT64_MIN, worst = 0;
        for (std::size_t i = 0; i < numbers.size(); ++i) {
            first = std::min(first, sent_us[i] - due(i));
            last = std::max(last, arrived_us[i] - due(i));
        }
        for (std::size_t i = kRate; i < numbers.size(); ++i)
            worst = std::max({worst, first - (pts_us[i] - due(i)), pts_us[i] - due(i) - last});
        return Micros(worst);
    }
};

// The watchers wait for each other before the faults, and for the faults.
struct Stage {
    std::atomic<int> ready{0};
    std::atomic<bool> faulty{false};
};

void take(Seen& seen, const Frame& frame, BootTime& last) {
    seen.ordered = seen.ordered && frame.dts > last && frame.dts <= frame.pts;
    last = frame.dts;
    seen.pictures.push_back(picture_of(frame.bytes));
    const auto counter = replay::find_counter(frame.bytes);
    if (!counter) return;
    const std::int64_t boot_minus_unix = -wall_minus_boot(system_clock()).count();
    seen.numbers.push_back(counter->number);
    seen.pts_us.push_back(frame.pts.us);
    seen.sent_us.push_back(static_cast<std::int64_t>(counter->sent_unix_ns / 1000) +
                           boot_minus_unix);
    seen.arrived_us.push_back(system_clock().boot().us);
}

Seen watch(const std::string& url, link::RtspTransport transport, Micros patience, Stage& stage) {
    link::RecorderSettings settings;
    settings.url = url;
    settings.transport = transport;
    settings.first_frame_timeout = kPatience;
    settings.jitter_latency = patience;
    Seen seen;
    Ingress ingress({});
    const auto source =
        make_rtsp_source(settings, system_clock(), ingress, std::make_shared<EncoderDesk>());
    if (!source->start()) return seen;
    const BootTime until = system_clock().boot() + kPatience;
    BootTime last{0};
    bool ready = false;
    std::size_t after = 0;
    while (!seen.lost && after < kAfter && system_clock().boot() < until) {
        if (!ready && seen.pictures.size() >= kBefore) {
            ready = true;
            ++stage.ready;
        }
        const auto event = ingress.pop(100ms);
        if (!event) continue;
        if (std::holds_alternative<StreamFormat>(*event)) ++seen.formats;
        if (const auto* lost = std::get_if<Lost>(&*event)) seen.lost = *lost;
        const auto* frame = std::get_if<Frame>(&*event);
        if (!frame) continue;
        take(seen, *frame, last);
        after += stage.faulty;
    }
    if (!ready) ++stage.ready;
    seen.stats = source->stats();
    source->stop(system_clock().boot() + 20s).ignore();
    return seen;
}

// Camera n has fault n; the first has none. A time before the comma: from the beginning on.
const std::vector<std::string> kFaults{
    "",           "loss,30,3",     "reorder,20,3", "truncate,10,2", "garble,10,2", "rtpjump,10",
    "rtpjump,-3", "rtpjump,20000", "drift,500",    "noise,5000",    "slow,0.3",    "trickle,3000,1",
    "switch,2",   "skip,5",        "stall,1",      "refuse,60"};

// Those that the conversation has to meet: as the timetable wants it.
std::string from_the_beginning(const std::string& fault) {
    const std::size_t comma = fault.find(',');
    const std::string kind = fault.substr(0, comma);
    if (kind != "drift" && kind != "slow" && kind != "refuse") return {};
    return kind + ",0" + fault.substr(comma);
}

using ByFault = std::map<std::string, Seen>;

// All at once, at the same cameras.
std::map<link::RtspTransport, ByFault> watch_all() {
    std::vector<std::string> arguments{"--commands",
                                       "--counter",
                                       "--generate",
                                       "h264:160x120@25:gop=10:kbit=1000:seconds=2,"
                                       "h264:96x96@25:gop=10:kbit=1000:seconds=2",
                                       "--cameras",
                                       std::to_string(2 * kFaults.size())};
    const auto camera = [](std::size_t i) { return std::to_string(2 * i + 1) + ","; };
    for (std::size_t i = 0; i < kFaults.size(); ++i) {
        const std::string fault = from_the_beginning(kFaults[i]);
        if (!fault.empty()) arguments.insert(arguments.end(), {"--fault", camera(i) + fault});
    }
    const test::ReplayChild cameras(arguments);
    std::map<link::RtspTransport, ByFault> out;
    Stage stage;
    std::vector<std::jthread> watchers;
    for (const auto transport : {link::RtspTransport::tcp, link::RtspTransport::udp})
        for (std::size_t i = 0; i < kFaults.size(); ++i) {
            const std::string name = i == 0 ? "h264-120p" : fmt::format("h264-120p-{}", i + 1);
            // What comes late is waited for, however slow the machine; what is lost is given up.
            const Micros patience = kFaults[i].starts_with("reorder") ? 3s : 200ms;
            watchers.emplace_back([transport, patience, url = cameras.url(name), &stage,
                                   &seen = out[transport][kFaults[i]]] {
                seen = watch(url, transport, patience, stage);
            });
        }
    const auto all = static_cast<int>(watchers.size());
    while (stage.ready < all) std::this_thread::sleep_for(20ms);
    for (std::size_t i = 0; i < kFaults.size(); ++i)
        if (!kFaults[i].empty() && from_the_beginning(kFaults[i]).empty())
            cameras.command(camera(i) + kFaults[i]);
    stage.faulty = true;
    watchers.clear();  // joins
    return out;
}

void check_all(const ByFault& all) {
    const Seen& clean = all.at("");
    REQUIRE(clean.numbers.size() >= kBefore + kAfter);
    CHECK(clean.missing() == 0);
    const std::set<std::string> right(clean.pictures.begin(), clean.pictures.end());
    for (const auto& entry : all) {
        const auto& fault = entry.first;
        const Seen& seen = entry.second;
        CAPTURE(fault);
        CAPTURE((seen.lost ? seen.lost->detail : std::string()));
        CHECK(seen.ordered);
        if (fault == "refuse,60") {
            REQUIRE(seen.lost.has_value());
            CHECK(seen.lost->cause == journal::GapCause::refused);
            continue;
        }
        CHECK_FALSE(seen.lost.has_value());
        CHECK(seen.pictures.size() >= kBefore + kAfter);
        const bool damages = fault.starts_with("truncate") || fault.starts_with("garble");
        // A picture that came with a hole is left out, never recorded as whole.
        if (!damages && !fault.starts_with("switch"))
            for (const std::string& picture : seen.pictures) CHECK(right.contains(picture));
        if (fault.starts_with("loss")) {
            CHECK(seen.missing() > 0);
            CHECK(seen.stats.unusable_frames > 0);
        } else if (fault.starts_with("skip")) {
            CHECK(seen.missing() == 5);
        } else if (fault.starts_with("stall")) {
            CHECK(seen.missing() >= kRate - 1);
            CHECK(seen.missing() <= kRate + 1);
        } else if (fault.starts_with("noise")) {
            CHECK(seen.missing() <= 4);
        } else if (!damages) {
            CHECK(seen.missing() == 0);
        }
        if (fault.starts_with("switch")) CHECK(seen.formats == 2);
        CHECK(seen.worst_time() < 100ms);
    }
}

}  // namespace

TEST_SUITE("pipelines/ingest/faults") {
    TEST_CASE("the reader loses what a fault takes and nothing else, over TCP and over UDP") {
        for (const auto& [transport, all] : watch_all()) {
            CAPTURE(static_cast<int>(transport));
            check_all(all);
        }
    }
}

}  // namespace hd::ingest
