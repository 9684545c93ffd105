#include "gateway/consent/area.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

namespace hd::consent {
namespace {

// WGS84: semi-major axis in metres, and flattening.
constexpr double kAxis = 6'378'137.0;
constexpr double kFlattening = 1.0 / 298.257223563;
constexpr std::int32_t kDegree = 10'000'000;  // in units of a corner
constexpr std::int32_t kMaxLatitude = 85 * kDegree;
constexpr std::int64_t kHalfTurn = 180ll * kDegree;
constexpr std::int32_t kHalfCell = kDegree / 200;  // 0.005 degrees

Error bad_area(std::string rule) { return {ErrorCode::invalid, "area: " + std::move(rule)}; }

// An offset between corners that lie at most a degree apart: products stay below 2^47.
struct Step {
    std::int64_t lat = 0, lon = 0;
};
Step step(const Corner& from, const Corner& to) {
    return {std::int64_t{to.lat_e7} - from.lat_e7, std::int64_t{to.lon_e7} - from.lon_e7};
}
std::int64_t cross(Step a, Step b) { return a.lon * b.lat - a.lat * b.lon; }

// Every corner strictly on the same side of every edge: exactly the strictly convex polygons;
// stars, bow ties, repeated corners and three in a row on a line all fail.
bool is_strictly_convex(const Area& area) {
    const std::size_t n = area.size();
    int side = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t next = (i + 1) % n;
        const Step edge = step(area[i], area[next]);
        for (std::size_t k = 0; k < n; ++k) {
            if (k == i || k == next) continue;
            const std::int64_t c = cross(edge, step(area[i], area[k]));
            const int sign = c > 0 ? 1 : c < 0 ? -1 : 0;
            if (sign == 0 || (side != 0 && sign != side)) return false;
            side = sign;
        }
    }
    return true;
}

Result<std::int32_t> parse_coordinate(std::string_view text) {
    const bool minus = text.starts_with('-');
    const auto value = ledger::parse_number(minus ? text.substr(1) : text, 1'800'000'000);
    if (!value || (minus && *value == 0))
        return bad_area("a corner is latitude,longitude in whole 1e-7 degrees");
    const auto out = static_cast<std::int32_t>(*value);
    return minus ? -out : out;
}

double radians(std::int32_t e7) { return e7 * 1e-7 * std::numbers::pi / 180.0; }

// y of the equal-area cylindrical projection: a q(phi) / 2 (docs/formats/request.md).
double equal_area_y(double phi) {
    const double e2 = kFlattening * (2 - kFlattening);
    const double e = std::sqrt(e2);
    const double s = std::sin(phi);
    const double q = (1 - e2) * (s / (1 - e2 * s * s) + std::atanh(e * s) / e);
    return kAxis * q / 2;
}

struct Range {
    std::int64_t low = 0, high = 0;
    bool apart(const Range& o) const { return high < o.low || o.high < low; }
};
// Extent of the points along the direction `axis`, measured from `origin`.
Range extent(const Area& points, const Corner& origin, Step axis) {
    Range out;
    for (std::size_t i = 0; i < points.size(); ++i) {
        const Step d = step(origin, points[i]);
        const std::int64_t along = d.lat * axis.lat + d.lon * axis.lon;
        out.low = i == 0 ? along : std::min(out.low, along);
        out.high = i == 0 ? along : std::max(out.high, along);
    }
    return out;
}

}  // namespace

std::string to_text(const Area& area) {
    std::string out;
    for (const Corner& c : area)
        out += fmt::format("{}{},{}", out.empty() ? "" : ";", c.lat_e7, c.lon_e7);
    return out;
}

Result<Area> parse_area(std::string_view text) {
    const auto corners = ledger::split(text, ';');
    if (corners.size() > kMaxCorners)
        return bad_area(fmt::format("at most {} corners", kMaxCorners));
    Area out;
    for (const std::string_view corner : corners) {
        const auto parts = ledger::split(corner, ',');
        if (parts.size() != 2)
            return bad_area("a corner is latitude,longitude in whole 1e-7 degrees");
        HD_ASSIGN(const auto lat, parse_coordinate(parts[0]));
        HD_ASSIGN(const auto lon, parse_coordinate(parts[1]));
        out.push_back({lat, lon});
    }
    return out;
}

Result<void> check_area(const Area& area) {
    if (area.size() < 3 || area.size() > kMaxCorners)
        return bad_area(fmt::format("must have 3 to {} corners", kMaxCorners));
    Corner low = area.front(), high = area.front();
    for (const Corner& c : area) {
        if (std::abs(std::int64_t{c.lat_e7}) > kMaxLatitude)
            return bad_area("latitude must be within 85 degrees");
        if (c.lon_e7 < -kHalfTurn || c.lon_e7 >= kHalfTurn)
            return bad_area("longitude must be from -180 to below 180 degrees");
        low = {std::min(low.lat_e7, c.lat_e7), std::min(low.lon_e7, c.lon_e7)};
        high = {std::max(high.lat_e7, c.lat_e7), std::max(high.lon_e7, c.lon_e7)};
    }
    const Step size = step(low, high);
    if (size.lon > kHalfTurn) return bad_area("must not cross the antimeridian (longitude 180)");
    if (size.lat > kDegree || size.lon > kDegree)
        return bad_area("must be at most one degree wide and high");
    if (!is_strictly_convex(area))
        return bad_area(
            "must be convex: no crossing edges, no corner twice, no three in a row on one "
            "line");
    const std::int64_t m2 = area_m2(area);
    if (m2 < kMinAreaM2 || m2 > kMaxAreaM2)
        return bad_area(
            fmt::format("must be {} to {} square metres, is {}", kMinAreaM2, kMaxAreaM2, m2));
    return {};
}

std::int64_t area_m2(const Area& area) {
    if (area.empty()) return 0;
    // Measured from the first corner, so that the sum does not lose digits.
    const double x0 = radians(area.front().lon_e7), y0 = equal_area_y(radians(area.front().lat_e7));
    double twice = 0;
    for (std::size_t i = 0; i < area.size(); ++i) {
        const Corner& a = area[i];
        const Corner& b = area[(i + 1) % area.size()];
        const double ax = kAxis * (radians(a.lon_e7) - x0), bx = kAxis * (radians(b.lon_e7) - x0);
        const double ay = equal_area_y(radians(a.lat_e7)) - y0;
        const double by = equal_area_y(radians(b.lat_e7)) - y0;
        twice += ax * by - bx * ay;
    }
    return std::llround(std::fabs(twice) / 2);
}

Area square_around(double latitude, double longitude, double side_m) {
    // Half a side in degrees on the sphere of WGS84's axis: near enough, check_area decides.
    const double half = side_m / 2 / kAxis * 180.0 / std::numbers::pi;
    const double wide = half / std::cos(latitude * std::numbers::pi / 180.0);
    // Nonsense in gives a shape that check_area refuses, not undefined behaviour.
    const auto e7 = [](double d) {
        if (!std::isfinite(d)) return 0;
        return static_cast<std::int32_t>(std::lround(std::clamp(d, -200.0, 200.0) * kDegree));
    };
    const std::int32_t south = e7(latitude - half), north = e7(latitude + half);
    const std::int32_t west = e7(longitude - wide), east = e7(longitude + wide);
    return {{south, west}, {south, east}, {north, east}, {north, west}};
}

bool touches_cell(const Area& area, const Cell& cell) {
    const std::int32_t lat = cell.lat_e2 * (kDegree / 100), lon = cell.lon_e2 * (kDegree / 100);
    const Corner origin{lat, lon};
    // Far apart: the products below would not fit, and the answer is plain.
    for (const Corner& c : area) {
        const Step d = step(origin, c);
        if (std::abs(d.lat) > 2 * kDegree || std::abs(d.lon) > 2 * kDegree) return false;
    }
    const Area square{{lat - kHalfCell, lon - kHalfCell},
                      {lat - kHalfCell, lon + kHalfCell},
                      {lat + kHalfCell, lon + kHalfCell},
                      {lat + kHalfCell, lon - kHalfCell}};
    // Two convex shapes are apart exactly if an edge of one has them on different sides.
    std::vector<Step> axes{{1, 0}, {0, 1}};
    for (std::size_t i = 0; i < area.size(); ++i) {
        const Step edge = step(area[i], area[(i + 1) % area.size()]);
        axes.push_back({edge.lon, -edge.lat});
    }
    return std::none_of(axes.begin(), axes.end(), [&](Step axis) {
        return extent(area, origin, axis).apart(extent(square, origin, axis));
    });
}

}  // namespace hd::consent
