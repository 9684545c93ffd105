// Where a page of a window answer ended. Opaque to clients; bound to its query by a fingerprint,
// so that a cursor that is used with another query is refused instead of giving nonsense. Pure.
#pragma once

#include <string>

#include "index/store/store.hpp"

namespace hd::store {

// The last item given: gaps come before clips of the same begin and camera.
struct PagePlace {
    WallTime begin;
    CameraId camera;
    bool is_clip = false;
    WallTime name_time;  // clips only
    RunId run;
    auto operator<=>(const PagePlace&) const = default;
};
PagePlace place_of(const ClipRow& row);
PagePlace place_of(const GapRow& gap);

std::string encode_cursor(const PagePlace& place, const WindowQuery& query);
Result<PagePlace> decode_cursor(const WindowQuery& query);  // invalid: not ours, or another query

}  // namespace hd::store
