#include "index/store/rows.hpp"

#include <tuple>

namespace hd::store {

std::string clip_path(const ClipRow& row) {
    return clip::clip_path(row.camera, row.name_time, row.run);
}

clip::ClipName clip_name(const ClipRow& row) { return {row.camera, row.name_time, row.run}; }

bool answer_order(const ClipRow& a, const ClipRow& b) {
    if (a.begin != b.begin) return a.begin < b.begin;
    return std::tie(a.camera, a.name_time, a.run) < std::tie(b.camera, b.name_time, b.run);
}

}  // namespace hd::store
