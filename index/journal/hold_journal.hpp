// The owner's holds: stretches of video that no retention rule may delete. The records of
// <data>/holds.log, as values and as bytes. The document is docs/formats/journal.md. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>

#include "index/base/ids.hpp"
#include "index/base/time.hpp"
#include "index/journal/journal.hpp"

namespace hd::journal {

using HoldId = Id<struct HoldTag>;  // random, one per hold
constexpr std::size_t kMaxHoldWhyBytes = 200;

struct HoldSet {
    HoldId hold;
    std::optional<CameraId> camera;  // none: every camera
    TimeSpan window;
    std::optional<WallTime> until;  // none: until it is lifted
    WallTime when;                  // it was said
    std::string why;                // the owner's words, at most kMaxHoldWhyBytes
};
struct HoldLifted {
    HoldId hold;
    WallTime when;
};
using HoldRecord = std::variant<HoldSet, HoldLifted>;

Record encode(const HoldRecord& record);
// not_found for a type of a later version.
Result<HoldRecord> decode_hold_record(const Record& record);

// What stands after a record: holds by id.
void apply(const HoldRecord& record, std::map<HoldId, HoldSet>& holds);

}  // namespace hd::journal
