#include "index/store/rows.hpp"

namespace hd::store {

std::string clip_path(const ClipRow& row) {
    return clip::clip_path(row.camera, row.name_time, row.run);
}

clip::ClipName clip_name(const ClipRow& row) { return {row.camera, row.name_time, row.run}; }

}  // namespace hd::store
