#include <cmath>
#include <numbers>
#include <random>

#include <doctest/doctest.h>

#include "gateway/consent/area.hpp"

using namespace hd;
using namespace hd::consent;

namespace {

std::string error_of(const Area& area) {
    const auto checked = check_area(area);
    return checked ? "accepted" : checked.error().what;
}

// A rectangle of whole 1e-7 degrees, south-west corner first.
Area box(std::int32_t lat, std::int32_t lon, std::int32_t high, std::int32_t wide) {
    return {{lat, lon}, {lat, lon + wide}, {lat + high, lon + wide}, {lat + high, lon}};
}

}  // namespace

TEST_SUITE("gateway/consent/area") {
    TEST_CASE("the area of the whole ellipsoid's strips is that of WGS84") {
        // A strip of one degree of longitude from pole to pole is 1/360 of 510,065,621.724 km2;
        // one degree high slices add up to it. Checked between 84 S and 84 N against the closed
        // form of a spherical zone corrected by q(phi) of an independent sum.
        const auto reference = [](double lat1, double lat2) {
            // Numerical integral of the ellipsoid's area element M N cos(phi) over one degree.
            const double a = 6378137.0, f = 1 / 298.257223563, e2 = f * (2 - f);
            const int n = 2000;
            double sum = 0;
            for (int i = 0; i < n; ++i) {
                const double phi =
                    (lat1 + (lat2 - lat1) * (i + 0.5) / n) * std::numbers::pi / 180.0;
                const double w = 1 - e2 * std::sin(phi) * std::sin(phi);
                const double m = a * (1 - e2) / std::pow(w, 1.5), nn = a / std::sqrt(w);
                sum += m * nn * std::cos(phi);
            }
            const double rad = std::numbers::pi / 180.0;
            return sum * (lat2 - lat1) * rad / n * rad;
        };
        for (const int lat : {-84, -45, -1, 0, 30, 52, 84}) {
            CAPTURE(lat);
            const double expected = reference(lat, lat + 1);
            const auto got = static_cast<double>(
                area_m2(box(lat * 10'000'000, 50'000'000, 10'000'000, 10'000'000)));
            CHECK(std::fabs(got / expected - 1) < 1e-7);
        }
    }

    TEST_CASE("direction, first corner and longitude do not change the size") {
        Area a = square_around(52.37, 4.9, 700);
        const auto size = area_m2(a);
        CHECK(size > 480'000);
        CHECK(size < 500'000);
        std::rotate(a.begin(), a.begin() + 1, a.end());
        CHECK(area_m2(a) == size);
        std::reverse(a.begin(), a.end());
        CHECK(area_m2(a) == size);
        for (Corner& c : a) c.lon_e7 -= 900'000'000;
        CHECK(area_m2(a) == size);
    }

    TEST_CASE("the bounds of the size are inclusive to the square metre") {
        // At the equator a box of one 1e-7 degree is about 0.0123 m2: search the edge by height.
        const auto edge = [](std::int64_t wanted, std::int32_t wide) {
            std::int32_t low = 1, high = 9'999'999;
            while (low < high) {
                const std::int32_t mid = (low + high) / 2;
                if (area_m2(box(0, 0, mid, wide)) < wanted)
                    low = mid + 1;
                else
                    high = mid;
            }
            return low;
        };
        // Narrow, so that a step of height is well below a square metre.
        constexpr std::int32_t kWide = 2'000;
        const std::int32_t least = edge(kMinAreaM2, kWide);
        CHECK(area_m2(box(0, 0, least, kWide)) == kMinAreaM2);
        CHECK(error_of(box(0, 0, least, kWide)) == "accepted");
        const std::int32_t below = edge(kMinAreaM2, kWide) - 1;
        CHECK(area_m2(box(0, 0, below, kWide)) == kMinAreaM2 - 1);
        CHECK(error_of(box(0, 0, below, kWide)) ==
              "area: must be 64750 to 1294994 square metres, is 64749");
        constexpr std::int32_t kWider = 20'000;
        const std::int32_t over = edge(kMaxAreaM2 + 1, kWider);
        CHECK(error_of(box(0, 0, over, kWider)).find("is 129499") != std::string::npos);
        CHECK(area_m2(box(0, 0, over - 1, kWider)) <= kMaxAreaM2);
        CHECK(error_of(box(0, 0, over - 1, kWider)) == "accepted");
    }

    TEST_CASE("shapes that are not strictly convex are refused") {
        const Area square = square_around(40.71, -74.01, 800);
        CHECK(error_of(square) == "accepted");
        Area bow = square;
        std::swap(bow[1], bow[2]);
        CHECK(error_of(bow).find("must be convex") != std::string::npos);
        Area twice = square;
        twice.push_back(square.front());
        CHECK(error_of(twice).find("must be convex") != std::string::npos);
        Area line = square;
        line.insert(line.begin() + 1,
                    {square[0].lat_e7, (square[0].lon_e7 + square[1].lon_e7) / 2});
        CHECK(error_of(line).find("must be convex") != std::string::npos);
        Area dent = square;
        dent.insert(dent.begin() + 1,
                    {square[0].lat_e7 + 10, (square[0].lon_e7 + square[1].lon_e7) / 2});
        CHECK(error_of(dent).find("must be convex") != std::string::npos);
        Area bulge = square;
        bulge.insert(bulge.begin() + 1,
                     {square[0].lat_e7 - 10, (square[0].lon_e7 + square[1].lon_e7) / 2});
        CHECK(error_of(bulge) == "accepted");
        // A five-pointed star turns the same way at every corner, twice around.
        Area star;
        for (int i = 0; i < 5; ++i) {
            const double angle = 4 * std::numbers::pi * i / 5;
            star.push_back({static_cast<std::int32_t>(407'100'000 + 40'000 * std::sin(angle)),
                            static_cast<std::int32_t>(-740'100'000 + 50'000 * std::cos(angle))});
        }
        CHECK(error_of(star).find("must be convex") != std::string::npos);
    }

    TEST_CASE("corners are 3 to 16, in range, and near each other") {
        const auto polygon = [](int n) {
            Area a;
            for (int i = 0; i < n; ++i) {
                const double angle = 2 * std::numbers::pi * i / n;
                a.push_back({static_cast<std::int32_t>(407'100'000 + 40'000 * std::sin(angle)),
                             static_cast<std::int32_t>(-740'100'000 + 50'000 * std::cos(angle))});
            }
            return a;
        };
        for (int n = 3; n <= 16; ++n) {
            CAPTURE(n);
            CHECK(error_of(polygon(n)) == "accepted");
        }
        CHECK(error_of(polygon(17)).find("3 to 16 corners") != std::string::npos);
        CHECK(error_of({{0, 0}, {1, 1}}).find("3 to 16 corners") != std::string::npos);
        CHECK(error_of({}).find("3 to 16 corners") != std::string::npos);
        CHECK(error_of(square_around(85.1, 0, 800)).find("latitude") != std::string::npos);
        CHECK(error_of(box(0, 1'800'000'000 - 10, 20'000, 20'000)).find("longitude must be") !=
              std::string::npos);
        const Area across{{0, 1'799'990'000}, {0, -1'799'990'000}, {20'000, 0}};
        CHECK(error_of(across).find("antimeridian") != std::string::npos);
        CHECK(error_of(box(0, 0, 10'000'001, 10)).find("one degree") != std::string::npos);
        CHECK(error_of(square_around(std::nan(""), 1e300, 800)) != "accepted");
    }

    TEST_CASE("text is canonical in both directions") {
        const Area a{{407'128'000, -740'060'000}, {0, 5}, {-1, 0}};
        CHECK(to_text(a) == "407128000,-740060000;0,5;-1,0");
        CHECK(parse_area(to_text(a)).value() == a);
        for (const std::string_view bad : {"", "1", "1,2,3", "1,2;", ";1,2", "-0,1", "+1,2", "01,2",
                                           "1, 2", "1.0,2", "1800000001,0", "99999999999,0"}) {
            CAPTURE(bad);
            CHECK_FALSE(parse_area(bad).ok());
        }
    }

    TEST_CASE("a cell is touched exactly if the shapes share a point") {
        const Cell cell{4071, -7401};  // 40.705..40.715, -74.015..-74.005
        CHECK(touches_cell(square_around(40.71, -74.01, 300), cell));               // inside
        CHECK(touches_cell(box(407'150'000, -740'050'000, 30'000, 30'000), cell));  // one corner
        CHECK_FALSE(touches_cell(box(407'150'001, -740'050'000, 30'000, 30'000), cell));
        CHECK_FALSE(touches_cell(box(407'150'000, -740'049'999, 30'000, 30'000), cell));
        CHECK_FALSE(touches_cell(square_around(-33.8, 151.2, 800), cell));
        // A triangle whose bounding box overlaps the cell but whose long side passes it by.
        const Area passing{
            {407'160'000, -740'100'000}, {407'149'000, -740'030'000}, {407'160'000, -740'030'000}};
        CHECK_FALSE(touches_cell(passing, cell));
        const Area cutting{
            {407'160'000, -740'100'000}, {407'140'000, -740'060'000}, {407'160'000, -740'030'000}};
        CHECK(touches_cell(cutting, cell));
    }

    TEST_CASE("a point test agrees with touches_cell on random triangles") {
        std::mt19937 rng(7);
        const Cell cell{4071, -7401};
        std::size_t touched = 0;
        for (int round = 0; round < 300; ++round) {
            Area t;
            for (int i = 0; i < 3; ++i)
                t.push_back({407'100'000 + static_cast<std::int32_t>(rng() % 200'000) - 100'000,
                             -740'100'000 + static_cast<std::int32_t>(rng() % 200'000) - 100'000});
            const bool got = touches_cell(t, cell);
            // Points of the triangle by barycentric weights; a hit proves that it touches.
            bool hit = false;
            for (int u = 0; u <= 40 && !hit; ++u)
                for (int v = 0; u + v <= 40 && !hit; ++v) {
                    const double a = u / 40.0, b = v / 40.0, c = 1 - a - b;
                    const double lat = a * t[0].lat_e7 + b * t[1].lat_e7 + c * t[2].lat_e7;
                    const double lon = a * t[0].lon_e7 + b * t[1].lon_e7 + c * t[2].lon_e7;
                    hit = std::fabs(lat - 407'100'000) <= 50'000 &&
                          std::fabs(lon + 740'100'000) <= 50'000;
                }
            if (hit) CHECK(got);
            touched += got ? 1u : 0u;
        }
        CHECK(touched > 20);
        CHECK(touched < 300);
    }
}
