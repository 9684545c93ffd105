// The area that a request asks about: a small convex polygon, in whole 1e-7 degrees, so that
// everything but its size in square metres is decided in exact integers.
//
// Size: the area between the corners in the equal-area cylindrical projection of the WGS84
// ellipsoid, rounded to whole square metres. The formula is in docs/formats/request.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/consent/policy.hpp"

namespace hd::consent {

constexpr std::size_t kMaxCorners = 16;
// 0.025 and 0.5 square miles, inclusive.
constexpr std::int64_t kMinAreaM2 = 64'750;
constexpr std::int64_t kMaxAreaM2 = 1'294'994;

struct Corner {
    std::int32_t lat_e7 = 0, lon_e7 = 0;
    bool operator==(const Corner&) const = default;
};
using Area = std::vector<Corner>;

// "407128000,-740060000;407190000,-740060000;..."
std::string to_text(const Area& area);
// Grammar only: 1 to 16 corners, canonical numbers.
Result<Area> parse_area(std::string_view text);
// 3..16 corners, latitude within 85 degrees, not across the antimeridian, at most 1 degree wide and
// high, strictly convex (no repeated corner, no three in a row on a line, no crossing), size within
// bounds. Either direction. invalid: names the rule.
Result<void> check_area(const Area& area);
// Whole square metres. Meaningful for areas that keep the rules of shape.
std::int64_t area_m2(const Area& area);
// A square of about `side_m` metres around a centre, for `halfdoor ask`.
Area square_around(double latitude, double longitude, double side_m);
// Whether the hub's square (centre +- 0.005 degrees) and the convex area share a point. Exact.
bool touches_cell(const Area& area, const Cell& cell);

}  // namespace hd::consent
