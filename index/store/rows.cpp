#include "index/store/rows.hpp"

#include <algorithm>

namespace hd::store {

std::string clip_path(const ClipRow& row) {
    return clip::clip_path(row.camera, row.name_time, row.run);
}

clip::ClipName clip_name(const ClipRow& row) { return {row.camera, row.name_time, row.run}; }

WallTime gap_end(const GapRecord& gap, WallTime begin, WallTime end) {
    if (end >= begin || !gap.end || gap.end->boot != gap.begin.boot) return std::max(begin, end);
    return begin + std::max(Micros(0), gap.end->at - gap.begin.at);
}

GapRow retold(const GapRow& known, GapRow told) {
    const bool lasted = known.end && *known.end > known.begin;
    // By an older part of the journal: what is known stays known.
    if (lasted && !told.end) told.end = known.end;
    // A cause that lasted no time takes nothing away.
    return lasted && told.end == told.begin ? known : told;
}

}  // namespace hd::store
