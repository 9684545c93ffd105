#include <doctest/doctest.h>

#include "index/base/encoding.hpp"
#include "index/clip/clip_format.hpp"
#include "tests/index/clip_samples.hpp"

using namespace hd;
using namespace hd::clip;

namespace {

const std::vector<Extension> kUnknown{{0x7001, {1, 2, 3}}, {0x7002, {}}};

std::vector<PieceEntry> sample_table(const ClipHeader& h, std::uint32_t pieces) {
    std::vector<PieceEntry> table;
    std::uint64_t at = encode_header(h).size();
    for (std::uint32_t i = 0; i < pieces; ++i) {
        PieceEntry e;
        e.identity = test::sample_identity(h, i);
        const std::size_t head = encode_piece_head(encode_identity(e.identity), 300, {}).size();
        e.offset = at;
        e.age_offset = at + head;
        e.age_size = 300;
        e.age_sha256 = sha256(test::sample_age_file(i));
        at = e.age_offset + e.age_size;
        table.push_back(e);
    }
    return table;
}

std::uint64_t end_of(const std::vector<PieceEntry>& table) {
    return table.back().age_offset + table.back().age_size;
}

}  // namespace

TEST_SUITE("index/clip/format") {
    TEST_CASE("a header keeps its fields, unknown extensions included") {
        ClipHeader h = test::sample_header();
        h.extensions = kUnknown;
        Bytes bytes = encode_header(h);
        const std::size_t whole = bytes.size();
        bytes.push_back(0xEE);  // more may follow
        std::size_t size = 0;
        const auto back = decode_header(bytes, size);
        REQUIRE(back.ok());
        CHECK(*back == h);
        CHECK(size == whole);
        CHECK(encode_header(*back) == Bytes(bytes.begin(), bytes.end() - 1));
    }

    TEST_CASE("an identity keeps its fields and has one spelling") {
        const ClipHeader h = test::sample_header();
        for (std::uint32_t i = 0; i < 4; ++i) {
            PieceIdentity id = test::sample_identity(h, i);
            id.extensions = kUnknown;
            const Bytes bytes = encode_identity(id);
            const auto back = decode_identity(bytes);
            REQUIRE(back.ok());
            CHECK(*back == id);
            CHECK(encode_identity(*back) == bytes);
        }
    }

    TEST_CASE("times that run backwards or overflow are refused") {
        const ClipHeader h = test::sample_header();
        PieceIdentity id = test::sample_identity(h, 1);
        id.boot_end = id.boot_begin - Micros(1);
        CHECK(decode_identity(encode_identity(id)).error().what ==
              "piece identity: byte 47: boot time ends before it begins");
        id = test::sample_identity(h, 1);
        id.utc_begin = {INT64_MIN};
        CHECK(decode_identity(encode_identity(id)).error().what ==
              "piece identity: byte 55: UTC must be in the years 1970 to 9999");
        id = test::sample_identity(h, 1);
        id.boot_begin = {INT64_MIN};
        CHECK_FALSE(decode_identity(encode_identity(id)).ok());
    }

    TEST_CASE("any flipped bit in a header, a piece head or a footer is found") {
        const ClipHeader h = test::sample_header();
        const auto table = sample_table(h, 3);
        const Bytes header = encode_header(h);
        const Bytes head =
            encode_piece_head(encode_identity(table[1].identity), 300, table[1].age_sha256);
        const Bytes footer = encode_footer(
            table, summarise(h, table, h.utc_begin, EndReason::target, ""), end_of(table));
        const auto each_bit = [](const Bytes& good, const auto& decodes) {
            for (std::size_t i = 0; i < good.size() * 8; ++i) {
                Bytes bad = good;
                bad[i / 8] = static_cast<std::uint8_t>(bad[i / 8] ^ (1u << (i % 8)));
                CAPTURE(i);
                CHECK_FALSE(decodes(bad));
            }
        };
        std::size_t size = 0;
        each_bit(header, [&](const Bytes& b) { return decode_header(b, size).ok(); });
        each_bit(head, [&](const Bytes& b) { return decode_piece_head(b, size).ok(); });
        each_bit(footer, [&](const Bytes& b) { return decode_footer(b, end_of(table)).ok(); });
    }

    TEST_CASE("no part of a header, head or footer is taken for the whole") {
        const ClipHeader h = test::sample_header();
        const auto table = sample_table(h, 2);
        const Bytes header = encode_header(h);
        const Bytes head = encode_piece_head(encode_identity(table[1].identity), 300, {});
        const Bytes footer = encode_footer(
            table, summarise(h, table, h.utc_begin, EndReason::target, ""), end_of(table));
        std::size_t size = 0;
        for (std::size_t i = 0; i < header.size(); ++i)
            CHECK_FALSE(decode_header(ByteView(header).first(i), size).ok());
        for (std::size_t i = 0; i < head.size(); ++i)
            CHECK_FALSE(decode_piece_head(ByteView(head).first(i), size).ok());
        for (std::size_t i = 0; i < footer.size(); ++i)
            CHECK_FALSE(decode_footer(ByteView(footer).first(i), end_of(table)).ok());
    }

    TEST_CASE("a header of a later version is refused with its number") {
        Bytes bytes = encode_header(test::sample_header());
        bytes[12] = 2;
        ByteWriter crc;
        crc.u32(crc32c(ByteView(bytes).first(bytes.size() - 4)));
        std::copy(crc.view().begin(), crc.view().end(), bytes.end() - 4);
        std::size_t size = 0;
        CHECK(decode_header(bytes, size).error().what ==
              "clip header: byte 12: version 2 is not 1, the only one known here");
    }

    TEST_CASE("the summary comes from the last bytes, the table from the footer") {
        const ClipHeader h = test::sample_header();
        const auto table = sample_table(h, 61);
        ClipSummary s = summarise(h, table, h.utc_begin, EndReason::target, "done");
        CHECK(s.frames == 60 * 25);
        CHECK(s.pieces == 61);
        CHECK(s.utc_begin == h.utc_begin);
        CHECK(s.utc_end == h.utc_begin + std::chrono::seconds(60));
        CHECK(s.longest_key_distance_ms == 2000);
        const Bytes footer = encode_footer(table, s, end_of(table));
        const std::uint64_t file_size = end_of(table) + footer.size();
        const ByteView tail = ByteView(footer).last(kSummaryReadBytes);
        s.size_bytes = file_size;
        CHECK(decode_summary(tail, file_size).value() == s);
        CHECK(footer_offset(tail, file_size).value() == end_of(table));
        const Footer back = decode_footer(footer, end_of(table)).value();
        CHECK(back.summary == s);
        REQUIRE(back.table.size() == table.size());
        CHECK(back.table[60].age_offset == table[60].age_offset);
        CHECK(back.table[60].age_sha256 == table[60].age_sha256);
        CHECK(back.table[60].identity == table[60].identity);
    }

    TEST_CASE("the longest summary fits the one read") {
        const ClipHeader h = test::sample_header();
        const auto table = sample_table(h, 2);
        const std::string detail(4000, 'x');
        const ClipSummary s = summarise(h, table, h.utc_begin, EndReason::stream_lost, detail);
        const Bytes footer = encode_footer(table, s, end_of(table));
        const std::uint64_t file_size = end_of(table) + footer.size();
        const std::size_t read = std::min<std::size_t>(kSummaryReadBytes, footer.size());
        const auto back = decode_summary(ByteView(footer).last(read), file_size);
        REQUIRE(back.ok());
        CHECK(back->reason_detail == std::string(255, 'x'));
    }

    TEST_CASE("a file that grew or shrank behind its footer is not finished") {
        const ClipHeader h = test::sample_header();
        const auto table = sample_table(h, 2);
        const Bytes footer = encode_footer(
            table, summarise(h, table, h.utc_begin, EndReason::target, ""), end_of(table));
        const std::uint64_t size = end_of(table) + footer.size();
        CHECK(decode_summary(footer, size).ok());
        CHECK(decode_summary(footer, size + 1).error().code == ErrorCode::corrupt);
        CHECK(decode_summary(footer, size - 1).error().code == ErrorCode::corrupt);
        Bytes longer = footer;
        longer.push_back(0);
        CHECK_FALSE(decode_summary(longer, size + 1).ok());
    }

    TEST_CASE("a table whose pieces overlap, go back or name another clip is refused") {
        const ClipHeader h = test::sample_header();
        const auto good = sample_table(h, 3);
        const auto decodes = [&](std::vector<PieceEntry> table) {
            const ClipSummary s = summarise(h, good, h.utc_begin, EndReason::target, "");
            return decode_footer(encode_footer(table, s, end_of(good)), end_of(good)).ok();
        };
        CHECK(decodes(good));
        auto bad = good;
        bad[2].offset -= 1, bad[2].age_offset -= 1;
        CHECK_FALSE(decodes(bad));
        bad = good;
        bad[2].age_size += 1;
        CHECK_FALSE(decodes(bad));
        bad = good;
        bad[2].age_size = UINT64_MAX;
        CHECK_FALSE(decodes(bad));
        bad = good;
        bad[1].age_offset += 1;
        CHECK_FALSE(decodes(bad));
        bad = good;
        bad[1].identity.clip = {};
        CHECK_FALSE(decodes(bad));
        bad = good;
        std::swap(bad[1].identity, bad[2].identity);
        CHECK_FALSE(decodes(bad));
    }

    TEST_CASE("a path says camera, time and run, and is read as strictly as it is written") {
        const ClipHeader h = test::sample_header();
        const std::string path = clip_path(h.camera, {1'795'356'000'000'001}, h.run);
        CHECK(path == "22222222222222222222222222222222/2026-11-22/140000.000001Z-0000002a.clip");
        for (const std::string& p : {path, path + ".part"}) {
            const ClipName name = parse_clip_path(p).value();
            CHECK(name.camera == h.camera);
            CHECK(name.name_time.us == 1'795'356'000'000'001);
            CHECK(name.run == h.run);
        }
        for (const std::string& bad :
             {std::string(), path + "x", "/" + path, "../" + path, path.substr(1),
              path + ".part.bad", std::string(path).replace(33, 10, "2026-11-31"),
              std::string(path).replace(44, 2, "24"), std::string(path).replace(58, 1, "_"),
              std::string(path).replace(59, 8, "0000002A")}) {
            CAPTURE(bad);
            CHECK_FALSE(parse_clip_path(bad).ok());
        }
    }

    TEST_CASE("a text that is too long is cut between characters") {
        ClipHeader h = test::sample_header();
        h.encoder_why = "x";
        while (h.encoder_why.size() < 400) h.encoder_why += "\xC3\xA9";
        std::size_t size = 0;
        const std::string back = decode_header(encode_header(h), size)->encoder_why;
        CHECK(back.size() == 255);
        CHECK(h.encoder_why.starts_with(back));
    }
}
