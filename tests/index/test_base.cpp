#include <filesystem>

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "index/base/bytes.hpp"
#include "index/base/crypto.hpp"
#include "index/base/encoding.hpp"
#include "index/base/files.hpp"
#include "index/base/ids.hpp"
#include "index/base/log.hpp"
#include "index/base/time.hpp"
#include "tests/support/memory_fs.hpp"
#include "tests/support/temp_folder.hpp"

using namespace hd;

TEST_SUITE("index/base") {
    TEST_CASE("crc32c has the check value of the Castagnoli polynomial") {
        CHECK(crc32c(as_bytes("123456789")) == 0xE3069283u);
        CHECK(crc32c({}) == 0u);
        // RFC 3720 appendix B.4: 32 bytes of zeros.
        CHECK(crc32c(Bytes(32, 0)) == 0x8A9136AAu);
        CHECK(crc32c(as_bytes("56789"), crc32c(as_bytes("1234"))) == 0xE3069283u);
    }

    TEST_CASE("varints keep their value at the edges and refuse more than 64 bits") {
        for (const std::uint64_t v : {0ull, 1ull, 127ull, 128ull, 16383ull, 16384ull, ~0ull}) {
            ByteWriter out;
            out.varint(v);
            ByteReader in(out.view());
            CHECK(in.varint() == v);
            CHECK(in.finish("varint").ok());
        }
        for (const std::int64_t v : {std::int64_t{0}, std::int64_t{-1}, INT64_MIN, INT64_MAX}) {
            ByteWriter out;
            out.zigzag(v);
            ByteReader in(out.view());
            CHECK(in.zigzag() == v);
        }
        const Bytes eleven(11, 0xFF);
        ByteReader in(eleven);
        in.varint();
        CHECK_FALSE(in.ok());
    }

    TEST_CASE("a reader stays failed after the first read behind its end") {
        const Bytes three{1, 2, 3};
        ByteReader in(three);
        CHECK(in.u32() == 0);
        CHECK(in.u8() == 0);
        CHECK(in.left() == 0);
        CHECK(in.finish("three").error().code == ErrorCode::corrupt);
    }

    TEST_CASE("a length that is larger than the input is refused, not allocated") {
        ByteWriter out;
        out.u32(0xFFFFFFFF);
        ByteReader in(out.view());
        CHECK(in.long_string(1 << 20).empty());
        CHECK_FALSE(in.ok());
    }

    TEST_CASE("times are written with six digits and read with none to six") {
        CHECK(to_rfc3339({0}) == "1970-01-01T00:00:00.000000Z");
        CHECK(to_rfc3339({253'402'300'799'999'999}) == "9999-12-31T23:59:59.999999Z");
        CHECK(parse_rfc3339("2026-11-22T14:00:00Z").value().us == 1'795'356'000'000'000);
        CHECK(parse_rfc3339("2026-11-22T14:00:00.5Z").value().us == 1'795'356'000'500'000);
        CHECK(parse_rfc3339("2024-02-29T00:00:00Z").ok());
        CHECK(parse_rfc3339("9999-12-31T23:59:59.999999Z").ok());
        CHECK(to_date({1'795'356'000'000'000}) == "2026-11-22");
        CHECK(to_time_of_day({1'795'356'000'000'001}) == "140000.000001Z");
    }

    TEST_CASE("what is not quite a time is refused and the rule is named") {
        for (const char* bad :
             {"", "2026-11-22", "2026-11-22T14:00:00", "2026-11-22T14:00:00+00:00",
              "2026-11-22t14:00:00Z", "2026-11-22T14:00:00.Z", "2026-11-22T14:00:00.1234567Z",
              "2026-02-29T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T14:60:00Z",
              "2026-11-22T14:00:60Z", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z",
              "2026-11-22T14:00:0xZ", "+026-11-22T14:00:00Z", " 2026-11-22T14:00:00Z"}) {
            CAPTURE(bad);
            const auto parsed = parse_rfc3339(bad);
            REQUIRE_FALSE(parsed.ok());
            CHECK(parsed.error().code == ErrorCode::invalid);
            CHECK(parsed.error().what.find("is not a time") != std::string::npos);
        }
    }

    TEST_CASE("spans are half-open") {
        const TimeSpan a{{0}, {10}}, b{{10}, {20}};
        CHECK_FALSE(a.overlaps(b));
        CHECK(a.overlaps({{9}, {10}}));
        CHECK(a.contains({{0}, {10}}));
        CHECK(TimeSpan{{5}, {5}}.empty());
    }

    TEST_CASE("base64 has one spelling for each value") {
        CHECK(to_base64(as_bytes("f"), Padding::with) == "Zg==");
        CHECK(to_base64(as_bytes("foobar"), Padding::without) == "Zm9vYmFy");
        CHECK(as_text(from_base64("Zm9v", Padding::with).value()) == "foo");
        CHECK(as_text(from_base64("Zg", Padding::without).value()) == "f");
        CHECK_FALSE(from_base64("Zg", Padding::with).ok());
        CHECK_FALSE(from_base64("Zg==", Padding::without).ok());
        CHECK_FALSE(from_base64("Zh==", Padding::with).ok());  // trailing bits
        CHECK_FALSE(from_base64("Z===", Padding::with).ok());
        CHECK_FALSE(from_base64("====", Padding::with).ok());
        CHECK_FALSE(from_base64("Zm9v\n", Padding::without).ok());
        CHECK_FALSE(from_base64("Zm-_", Padding::with).ok());
        CHECK_FALSE(from_base64("Z", Padding::without).ok());
        CHECK(from_base64("", Padding::with).value().empty());
    }

    TEST_CASE("z85 agrees with the vector of ZeroMQ RFC 32") {
        const Bytes hello{0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B};
        CHECK(to_z85(hello) == "HelloWorld");
        CHECK(from_z85("HelloWorld").value() == hello);
        CHECK_FALSE(from_z85("Hello World").ok());
        CHECK_FALSE(from_z85("#####").ok());  // over 32 bits
    }

    TEST_CASE("hex is lowercase and whole") {
        CHECK(to_hex(Bytes{0x00, 0xAB}) == "00ab");
        CHECK(from_hex("00ab").value() == Bytes{0x00, 0xAB});
        CHECK_FALSE(from_hex("00AB").ok());
        CHECK_FALSE(from_hex("00a").ok());
        const CameraId id = random_id<CameraId>();
        CHECK(parse_id<CameraId>(to_string(id), "camera").value() == id);
        CHECK(parse_id<CameraId>("xyz", "camera").error().what.find("camera") == 0);
        CHECK(parse_run_id("0000002a").value().value == 42);
        CHECK(to_string(RunId{42}) == "0000002a");
        CHECK_FALSE(parse_run_id("2a").ok());
    }

    TEST_CASE("hkdf passes the three SHA-256 cases of RFC 5869") {
        const auto hkdf = [](const char* ikm, const char* salt, const char* info,
                             std::size_t size) {
            Bytes out(size);
            hkdf_sha256(*from_hex(ikm), *from_hex(salt), *from_hex(info), out);
            return to_hex(out);
        };
        CHECK(
            hkdf("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
                 "f0f1f2f3f4f5f6f7f8f9", 42) ==
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
        CHECK(hkdf("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223242526"
                   "2728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d"
                   "4e4f",
                   "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283848586"
                   "8788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacad"
                   "aeaf",
                   "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6"
                   "d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfd"
                   "feff",
                   82) ==
              "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271"
              "cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
        CHECK(
            hkdf("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "", 42) ==
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    }

    TEST_CASE("sha256 in parts is sha256 of the whole") {
        CHECK(to_hex(sha256(as_bytes("abc"))) ==
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        Sha256 hash;
        hash.update(as_bytes("a"));
        hash.update({});
        hash.update(as_bytes("bc"));
        CHECK(hash.finish() == sha256(as_bytes("abc")));
    }

    TEST_CASE("a signature verifies for its message and key alone (RFC 8032, test 1)") {
        Secret<32> seed;
        const Bytes raw =
            *from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        std::copy(raw.begin(), raw.end(), seed.mut().begin());
        const SigningKey key = SigningKey::from_seed(seed);
        CHECK(to_hex(key.verify_key()) ==
              "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        const Signature signature = key.sign({});
        CHECK(to_hex(signature).starts_with("e5564300c360ac729086e2cc806e828a"));
        CHECK(verify(key.verify_key(), {}, signature));
        CHECK_FALSE(verify(key.verify_key(), as_bytes("x"), signature));
    }

    TEST_CASE("a low-order point gives no shared secret") {
        Secret<32> secret;
        random_bytes(secret.mut());
        CHECK_FALSE(x25519_shared(secret, Bytes(32, 0)).ok());
        CHECK_FALSE(x25519_shared(secret, Bytes(31, 9)).ok());
    }

    TEST_CASE("a secret that was moved from is zero") {
        Secret<16> a;
        random_bytes(a.mut());
        Secret<16> b = std::move(a);
        CHECK(equal(a.view(), Bytes(16, 0)));  // NOLINT: looking at the moved-from is the point
        CHECK_FALSE(equal(b.view(), Bytes(16, 0)));
    }

    TEST_CASE("an atomic write replaces the whole file, sets its mode and leaves nothing else") {
        const test::TempFolder folder;
        const std::string path = folder.path("key");
        REQUIRE(write_file_atomic(path, as_bytes("first"), 0600).ok());
        REQUIRE(write_file_atomic(path, as_bytes("second"), 0600).ok());
        CHECK(as_text(real_file_system().read(path, 100).value()) == "second");
        struct stat st {};
        REQUIRE(::stat(path.c_str(), &st) == 0);
        CHECK((st.st_mode & 0777) == 0600);
        CHECK(real_file_system().list(folder.path()).value().size() == 1);
        CHECK(write_file_atomic(folder.path("no/such"), as_bytes("x"), 0600).error().code ==
              ErrorCode::not_found);
    }

    TEST_CASE("the real disk creates once, appends, cuts, lists and removes") {
        const test::TempFolder folder;
        FileSystem& fs = real_file_system();
        const std::string path = folder.path("a/b/file");
        REQUIRE(fs.make_folders(parent_folder(path), 0700).ok());
        auto file = fs.create(path);
        REQUIRE(file.ok());
        CHECK(fs.create(path).error().code == ErrorCode::invalid);
        CHECK((*file)->append(as_bytes("0123456789")).ok());
        CHECK((*file)->sync_data().ok());
        CHECK((*file)->size() == 10);
        REQUIRE(fs.truncate(path, 4).ok());
        CHECK((*file)->append(as_bytes("x")).ok());
        CHECK(as_text(fs.read_range(path, 2, 100).value()) == "23x");
        CHECK(fs.read_range(path, 50, 10).value().empty());
        CHECK(fs.read(path, 3).error().code == ErrorCode::invalid);
        CHECK(fs.list(folder.path("a")).value().at(0).is_folder);
        CHECK(fs.remove(path).ok());
        CHECK(fs.remove(path).error().code == ErrorCode::not_found);
    }

    TEST_CASE("a redacted URL holds no credential, whatever the password is") {
        CHECK(log::redact_url("rtsp://cam/stream") == "rtsp://cam/stream");
        CHECK(log::redact_url("rtsp://u:pw@cam:554/s?token=secret") == "rtsp://cam:554/s");
        for (const char* url : {"rtsp://u:p@ss@cam/s", "rtsp://u:pa/ss@cam/s", "rtsp://u:pw?@cam/s",
                                "rtsp://u:pw#x@cam/s", "u:pw@cam"}) {
            CAPTURE(url);
            const std::string shown = log::redact_url(url);
            for (const char* secret : {"pw", "p@ss", "ss@", "u:"})
                CHECK(shown.find(secret) == std::string::npos);
        }
    }

    TEST_CASE("a rate limit lets one line through and counts the rest") {
        log::RateLimit limit(1000);
        std::uint64_t held = 99;
        CHECK(limit.allow(0, held));
        CHECK(held == 0);
        CHECK_FALSE(limit.allow(999, held));
        CHECK(limit.allow(1000, held));
        CHECK(held == 1);
    }

    TEST_CASE("the file system in memory forgets at a power cut what was not synced") {
        test::MemoryFileSystem fs;
        auto file = std::move(fs.create("a")).value();
        REQUIRE(file->append(as_bytes("synced")).ok());
        REQUIRE(file->sync_data().ok());
        REQUIRE(fs.sync_folder(".").ok());
        REQUIRE(file->append(as_bytes(" not")).ok());
        REQUIRE(fs.rename("a", "b").ok());
        fs.power_cut(test::Cut::lose_all);
        CHECK(fs.paths() == std::vector<std::string>{"a"});
        CHECK(as_text(*fs.read("a", 100)) == "synced");
        CHECK_FALSE(file->append(as_bytes("x")).ok());
    }
}
