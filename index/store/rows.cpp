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

}  // namespace hd::store
