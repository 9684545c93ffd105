#include <doctest/doctest.h>
#include <sys/stat.h>
#include <zmq.h>

#include "gateway/wire/keys.hpp"
#include "index/base/files.hpp"
#include "tests/gateway/wire_fixture.hpp"

using namespace hd;
using namespace hd::wire;

TEST_SUITE("gateway/wire/keys") {
    TEST_CASE("a key file is private, read back whole, and libzmq finds the same public key") {
        const hd::test::TempFolder folder;
        const std::string path = folder.file("owner.curve");
        CHECK(read_curve_key(path).error().code == ErrorCode::not_found);
        const auto made = read_or_make_curve_key(path);
        REQUIRE(made.ok());
        struct stat st {};
        REQUIRE(::stat(path.c_str(), &st) == 0);
        CHECK((st.st_mode & 0777) == 0600);
        const auto again = read_or_make_curve_key(path);
        REQUIRE(again.ok());
        CHECK(again->public_key == made->public_key);
        char public_text[41] = {};
        REQUIRE(zmq_curve_public(public_text, to_z85(made->secret.view()).c_str()) == 0);
        CHECK(to_z85_text(made->public_key) == public_text);
        CHECK(*parse_curve_public(public_text, "key") == made->public_key);
        CHECK(!parse_curve_public("short", "key"));
        CHECK(!parse_curve_public(std::string(40, ' '), "key"));
    }

    TEST_CASE("a key file that others can read, or that holds no key, is refused") {
        const hd::test::TempFolder folder;
        const std::string path = folder.file("owner.curve");
        REQUIRE(write_curve_key(path, CurveKey::generate()).ok());
        REQUIRE(::chmod(path.c_str(), 0640) == 0);
        CHECK(read_curve_key(path).error().code == ErrorCode::refused);
        for (const char* text : {"", "short\n",
                                 "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""
                                 "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\n"}) {
            REQUIRE(write_file_atomic(path, as_bytes(text), 0600).ok());
            const auto read = read_curve_key(path);
            REQUIRE(!read);
            CHECK(read.error().code == ErrorCode::corrupt);
        }
    }
}
