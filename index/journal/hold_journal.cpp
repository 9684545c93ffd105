#include "index/journal/hold_journal.hpp"

#include <fmt/format.h>

#include "index/base/time_range.hpp"

namespace hd::journal {
namespace {

// On disk: do not renumber (docs/formats/journal.md).
enum class HoldType : std::uint16_t { set = 1, lifted = 2 };

bool is_time(std::int64_t us) { return us >= 0 && us <= kLastTimeUs; }

Error bad(std::string_view what) {
    return {ErrorCode::corrupt, fmt::format("hold record: {}", what)};
}

Result<HoldRecord> decode_set(ByteReader in) {
    HoldSet r;
    r.hold = HoldId{in.array<16>()};
    const CameraId camera{in.array<16>()};
    if (!camera.is_zero()) r.camera = camera;
    r.window = {WallTime{in.i64()}, WallTime{in.i64()}};
    const std::int64_t until = in.i64();
    if (until != 0) r.until = WallTime{until};
    r.when = WallTime{in.i64()};
    r.why = in.short_string();
    if (!in.ok()) return bad("ends in the middle of a field");
    if (!is_time(r.window.begin.us) || !is_time(r.window.end.us) || !is_time(until) ||
        !is_time(r.when.us) || r.window.end <= r.window.begin)
        return bad("time out of range");
    if (r.why.size() > kMaxHoldWhyBytes) return bad("text longer than 200 bytes");
    return HoldRecord{std::move(r)};
}

Result<HoldRecord> decode_lifted(ByteReader in) {
    HoldLifted r;
    r.hold = HoldId{in.array<16>()};
    r.when = WallTime{in.i64()};
    if (!in.ok()) return bad("ends in the middle of a field");
    if (!is_time(r.when.us)) return bad("time out of range");
    return HoldRecord{r};
}

}  // namespace

Record encode(const HoldRecord& record) {
    ByteWriter out;
    if (const auto* lifted = std::get_if<HoldLifted>(&record)) {
        out.raw(ByteView(lifted->hold.bytes));
        out.i64(lifted->when.us);
        return {static_cast<std::uint16_t>(HoldType::lifted), std::move(out).take()};
    }
    const auto& set = std::get<HoldSet>(record);
    out.raw(ByteView(set.hold.bytes));
    out.raw(ByteView(set.camera.value_or(CameraId{}).bytes));
    out.i64(set.window.begin.us);
    out.i64(set.window.end.us);
    out.i64(set.until ? set.until->us : 0);
    out.i64(set.when.us);
    out.short_string(set.why);
    return {static_cast<std::uint16_t>(HoldType::set), std::move(out).take()};
}

// Bytes behind the fields of this version are a later one's, and passed over.
Result<HoldRecord> decode_hold_record(const Record& record) {
    if (record.type == static_cast<std::uint16_t>(HoldType::set))
        return decode_set(ByteReader(record.payload));
    if (record.type == static_cast<std::uint16_t>(HoldType::lifted))
        return decode_lifted(ByteReader(record.payload));
    return Error{ErrorCode::not_found,
                 fmt::format("hold record: type {} is of a later version", record.type)};
}

void apply(const HoldRecord& record, std::map<HoldId, HoldSet>& holds) {
    if (const auto* lifted = std::get_if<HoldLifted>(&record)) {
        holds.erase(lifted->hold);
    } else {
        const auto& set = std::get<HoldSet>(record);
        holds.insert_or_assign(set.hold, set);
    }
}

}  // namespace hd::journal
