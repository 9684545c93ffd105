#include <doctest/doctest.h>

#include "gateway/daemon/encoder_planner.hpp"
#include "tests/gateway/encoder_wish.hpp"

namespace hd::daemon {
namespace {

// A Raspberry Pi 4: one 1080p30 in hardware, one 720p25 in software.
EncoderFacts pi4() {
    return {.hardware = {"v4l2h264enc"},
            .software = {"x264enc"},
            .why = "Raspberry Pi before 5",
            .hardware_pixels_per_s = 1920 * 1080 * 30,
            .software_pixels_per_s = 1280 * 720 * 25,
            .hardware_why = "board"};
}

std::vector<std::string> given(const EncoderShares& shares, const EncoderWish& w) {
    return shares.grants.at(w.camera).elements;
}

}  // namespace

TEST_SUITE("gateway/daemon/encoder_planner") {
    TEST_CASE("hardware is shared out until it is full, then software, then nobody") {
        const std::vector<EncoderWish> wishes{wish(1, 1280, 720, ""), wish(2, 1280, 720, ""),
                                              wish(3, 1280, 720, ""), wish(4, 1280, 720, "")};
        const EncoderShares shares = share_encoders(pi4(), wishes);
        const std::vector<std::string> both{"v4l2h264enc", "x264enc"};
        CHECK(given(shares, wishes[0]) == both);
        CHECK(given(shares, wishes[1]) == both);
        CHECK(given(shares, wishes[2]) == std::vector<std::string>{"x264enc"});
        CHECK(shares.grants.at(wishes[2].camera).why.find("46 of 62 Mpixel/s are in use") !=
              std::string::npos);
        CHECK(given(shares, wishes[3]).empty());
        CHECK(shares.grants.at(wishes[3].camera).why ==
              "this machine encodes 23 Mpixel/s in software, all of it is taken");
        CHECK(shares.use.hardware_cameras == 2);
        CHECK(shares.use.hardware_pixels_per_s == 2 * 1280 * 720 * 25);
        CHECK(shares.use.software_cameras == 1);
        CHECK(shares.use.refused_cameras == 1);
    }

    TEST_CASE("who has hardware keeps it, although others stand before") {
        const std::vector<EncoderWish> wishes{wish(1, 1920, 1080, ""),
                                              wish(2, 1920, 1080, "v4l2h264enc")};
        const EncoderShares shares = share_encoders(pi4(), wishes);
        CHECK(given(shares, wishes[1]).front() == "v4l2h264enc");
        CHECK(given(shares, wishes[0]) == std::vector<std::string>{"x264enc"});
        CHECK(shares.grants.at(wishes[0].camera).why.find("pictures are left out") !=
              std::string::npos);
    }

    TEST_CASE("what failed rests; without anything that works the reason is the probe's") {
        EncoderWish w = wish(1, 1280, 720, "");
        w.resting["v4l2h264enc"] = "hangs";
        const EncoderShares shares = share_encoders(pi4(), {w});
        CHECK(given(shares, w) == std::vector<std::string>{"x264enc"});
        CHECK(shares.grants.at(w.camera).why == "Raspberry Pi before 5; v4l2h264enc: hangs");
        const EncoderShares none =
            share_encoders({.why = "no encoder works; x264enc: not installed"}, {w});
        CHECK(given(none, w).empty());
        CHECK(none.grants.at(w.camera).why == "no encoder works; x264enc: not installed");
    }

    TEST_CASE("a camera of unknown size is let in to software on trial") {
        EncoderFacts facts = pi4();
        facts.hardware.clear();
        const std::vector<EncoderWish> wishes{wish(1, 1280, 720, "x264enc"), wish(2, 0, 0, ""),
                                              wish(3, 640, 480, "")};
        const EncoderShares shares = share_encoders(facts, wishes);
        CHECK(given(shares, wishes[0]).size() == 1);
        CHECK(given(shares, wishes[1]).size() == 1);
        CHECK(given(shares, wishes[2]).empty());
    }

    TEST_CASE("nothing measured yet counts as 1080p30, and rates are taken in steps of five") {
        CHECK(pixels_per_s({}) == 1920ull * 1080 * 30);
        const auto rate_of = [](std::uint32_t millihertz) {
            return pixels_per_s(
                       {.needed = true, .width = 640, .height = 480, .millihertz_in = millihertz}) /
                   (640ull * 480);
        };
        for (const std::uint32_t trembling : {14'400u, 14'990u, 15'000u, 15'010u, 15'600u})
            CHECK(rate_of(trembling) == 15);
        CHECK(rate_of(15'700) == 20);
        CHECK(rate_of(25'050) == 25);
        CHECK(rate_of(900) == 5);
    }

    TEST_CASE("the probe's last line is what counts, and half a file does not") {
        const auto facts = read_probe(
            "{\"board\":{\"model\":\"\",\"nodes\":[]}}\n"
            "{\"choice\":{\"encoders\":[\"vah264enc\",\"x264enc\"],\"why\":\"a GPU\","
            "\"hardware_pixels_per_s\":7,\"hardware_why\":\"assumed\",\"software_pixels_per_s\":9}}"
            "\n");
        REQUIRE(facts.ok());
        CHECK(facts->hardware == std::vector<std::string>{"vah264enc"});
        CHECK(facts->software == std::vector<std::string>{"x264enc"});
        CHECK(facts->hardware_pixels_per_s == 7);
        CHECK(facts->software_pixels_per_s == 9);
        CHECK(read_probe("{\"board\":{}}\n").error().code == ErrorCode::corrupt);
        CHECK_FALSE(read_probe("{\"choice\":").ok());
    }
}

}  // namespace hd::daemon
