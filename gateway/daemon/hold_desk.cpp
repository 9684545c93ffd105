#include "gateway/daemon/hold_desk.hpp"

#include <fmt/format.h>

#include "gateway/wire/fields.hpp"
#include "gateway/wire/json.hpp"
#include "index/base/log.hpp"
#include "index/base/time_range.hpp"

namespace hd::daemon {

using wire::JsonFields;
using wire::JsonWriter;

namespace {

constexpr std::string_view kKind = "holds";
// The last instant that a window may name.
constexpr WallTime kEndOfTime{kLastTimeUs};

void write_hold(JsonWriter& out, const journal::HoldSet& hold) {
    out.begin_object().field("hold", hold.hold);
    if (hold.camera) out.field("camera", *hold.camera);
    out.field("from", hold.window.begin).field("to", hold.window.end);
    if (hold.until) out.field("until", *hold.until);
    out.field("since", hold.when).field("why", hold.why).end_object();
}

}  // namespace

HoldDesk::HoldDesk(Wiring wiring)
    : wiring_(std::move(wiring)), path_(join(wiring_.data_folder, "holds.log")) {
    load();
    tell();
}

void HoldDesk::load() {
    if (!wiring_.fs.exists(path_)) return;
    std::uint64_t unknown = 0;
    auto report = journal::repair_tail(wiring_.fs, path_, kKind);
    if (report) {
        report = journal::read(wiring_.fs, path_, kKind, 0,
                               [&](const journal::Record& record, std::uint64_t) {
                                   auto decoded = journal::decode_hold_record(record);
                                   if (decoded) {
                                       journal::apply(*decoded, holds_);
                                   } else {
                                       ++unknown;
                                   }
                               });
    }
    if (!report) {
        unreadable_ = true;
        log::error("holds.unreadable", "error=\"{}\" action=\"hold everything\"",
                   report.error().what);
        wiring_.board.raise("holds", "error",
                            "The holds cannot be read, so no clip is deleted: " +
                                report.error().what + ". Repair the file system, then restart.");
    } else if (report->damaged_bytes > 0 || unknown > 0) {
        log::error("holds.damaged", "bytes={} unknown_records={}", report->damaged_bytes, unknown);
        wiring_.board.raise("holds", "error",
                            "A part of the holds is damaged: look at `halfdoor holds`, and set "
                            "again what is missing.");
    }
}

Result<void> HoldDesk::write(const journal::HoldRecord& record) {
    if (unreadable_) return Error{ErrorCode::unavailable, "the holds cannot be read"};
    if (!journal_) {
        HD_ASSIGN(auto writer, journal::Writer::open(wiring_.fs, path_, kKind));
        journal_.emplace(std::move(writer));
    }
    HD_TRY(journal_->append(journal::encode(record)));
    return journal_->sync();
}

void HoldDesk::tell() const {
    std::vector<HeldWindow> windows;
    if (unreadable_) windows.push_back({.camera = {}, .window = {WallTime{0}, kEndOfTime}});
    for (const auto& [id, hold] : holds_) windows.push_back({hold.camera, hold.window});
    wiring_.holds.set_windows(std::move(windows));
}

void HoldDesk::tidy() {
    // A clock that nobody set could end every hold at once.
    if (wiring_.clock.quality() == ClockQuality::unsynchronised) return;
    const WallTime now = wiring_.clock.wall();
    const std::size_t ended = std::erase_if(holds_, [&](const auto& entry) {
        return entry.second.until && *entry.second.until <= now;
    });
    if (ended == 0) return;
    log::info("holds.ended", "count={}", ended);
    tell();
}

VerbResult HoldDesk::hold(const wire::Request& request) {
    JsonFields in(request.body);
    journal::HoldSet hold;
    if (in.has("camera")) hold.camera = in.id<CameraId>("camera");
    hold.window = wire::read_window(in);
    hold.until = in.time_if_present("until");
    hold.why = in.text_or("why", "", journal::kMaxHoldWhyBytes);
    const WallTime now = wiring_.clock.wall();
    if (hold.until && *hold.until <= now) in.fail("until", "must be in the future");
    HD_TRY(in.finish());
    if (holds_.size() >= kMaxHolds) {
        return Error{ErrorCode::exhausted,
                     fmt::format("hold: {} stand already, which is the limit", kMaxHolds)};
    }
    hold.hold = random_id<journal::HoldId>();
    hold.when = now;
    HD_TRY(write(hold));
    holds_.emplace(hold.hold, hold);
    tell();
    log::info("hold.set", "hold={}", to_string(hold.hold));
    JsonWriter out;
    write_hold(out, hold);
    return VerbReply{std::move(out).take(), {}};
}

VerbResult HoldDesk::holds(const wire::Request& request) const {
    JsonFields in(request.body);
    HD_TRY(in.finish());
    JsonWriter out;
    out.begin_object().key("holds").begin_array();
    for (const auto& [id, hold] : holds_) write_hold(out, hold);
    out.end_array().end_object();
    return VerbReply{std::move(out).take(), {}};
}

VerbResult HoldDesk::unhold(const wire::Request& request) {
    JsonFields in(request.body);
    const auto id = in.id<journal::HoldId>("hold");
    HD_TRY(in.finish());
    const auto found = holds_.find(id);
    if (found == holds_.end()) return Error{ErrorCode::not_found, "hold: there is no such hold"};
    HD_TRY(write(journal::HoldLifted{.hold = id, .when = wiring_.clock.wall()}));
    holds_.erase(found);
    tell();
    log::info("hold.lifted", "hold={}", to_string(id));
    JsonWriter out;
    out.begin_object().field("hold", id).end_object();
    return VerbReply{std::move(out).take(), {}};
}

}  // namespace hd::daemon
