#include <algorithm>

#include <doctest/doctest.h>

#include "index/clip/clip_check.hpp"
#include "index/clip/clip_reader.hpp"
#include "index/clip/clip_writer.hpp"
#include "index/clip/recover.hpp"
#include "tests/index/clip_samples.hpp"
#include "tests/support/memory_fs.hpp"
#include "tests/support/temp_folder.hpp"

using namespace hd;
using namespace hd::clip;
using test::Cut;
using test::MemoryFileSystem;

namespace {

const ClipHeader kHeader = test::sample_header();
const std::string kName = clip_path(kHeader.camera, kHeader.utc_begin, kHeader.run);
const std::string kPath = "clips/" + kName;

Result<void> append_sample(ClipWriter& writer) {
    const std::uint32_t i = writer.next_sequence();
    return writer.append_piece(test::sample_identity(kHeader, i), test::sample_age_file(i));
}

// A writer with so many pieces, all synced.
ClipWriter begun(FileSystem& fs, int pieces, const std::string& folder = "clips") {
    auto writer = std::move(ClipWriter::begin(fs, folder, kHeader)).value();
    for (int i = 0; i < pieces; ++i) REQUIRE(append_sample(writer).ok());
    REQUIRE(writer.sync().ok());
    return writer;
}

void finished_clip(FileSystem& fs, int pieces) {
    ClipWriter writer = begun(fs, pieces);
    REQUIRE(writer.finish(EndReason::target, "").ok());
}

void check_pieces(FileSystem& fs, const std::string& path, std::size_t at_least) {
    const auto reader = ClipReader::open(fs, path);
    REQUIRE(reader.ok());
    CHECK(reader->header() == kHeader);
    CHECK(reader->table().size() >= at_least);
    for (std::size_t i = 0; i < reader->table().size(); ++i) {
        const auto piece = reader->read_piece(i);
        REQUIRE(piece.ok());
        CHECK(piece->identity == test::sample_identity(kHeader, piece->identity.sequence));
        CHECK(piece->age_file == test::sample_age_file(piece->identity.sequence));
        CHECK(encode_identity(piece->identity) == piece->identity_bytes);
    }
}

}  // namespace

TEST_SUITE("index/clip/files") {
    TEST_CASE("a clip is written as .part, named .clip when it is whole, and reads back") {
        MemoryFileSystem fs;
        ClipWriter writer = begun(fs, 5);
        CHECK(fs.paths() == std::vector<std::string>{kPath + ".part"});
        CHECK(writer.relative_path() == kName + ".part");
        const auto summary = writer.finish(EndReason::shutdown, "asked to");
        REQUIRE(summary.ok());
        CHECK(fs.paths() == std::vector<std::string>{kPath});
        CHECK(writer.relative_path() == kName);
        CHECK(read_summary(fs, kPath).value() == *summary);
        CHECK(summary->size_bytes == fs.size(kPath).value());
        CHECK(summary->frames == 100);
        check_pieces(fs, kPath, 5);
        CHECK(check_clip(fs, kPath, CheckLevel::hash).good());
    }

    TEST_CASE("the same on a real disk") {
        const test::TempFolder folder;
        FileSystem& fs = real_file_system();
        ClipWriter writer = begun(fs, 5, folder.path("clips"));
        REQUIRE(writer.finish(EndReason::target, "").ok());
        check_pieces(fs, folder.path(kPath), 5);
        CHECK(check_clip(fs, folder.path(kPath), CheckLevel::hash).good());
        ClipWriter left = begun(fs, 3, folder.path("clips"));
        const std::string part = left.relative_path();
        CHECK(find_parts(fs, folder.path("clips"), kHeader.camera).value() ==
              std::vector<std::string>{part});
        const auto recovered = recover_part(fs, folder.path("clips"), part);
        REQUIRE(recovered.ok());
        CHECK(recovered->outcome == Recovery::finished);
        CHECK(find_parts(fs, folder.path("clips"), kHeader.camera).value().empty());
    }

    TEST_CASE("an unfinished file reads piece by piece, a torn one to its last whole piece") {
        MemoryFileSystem fs;
        ClipWriter writer = begun(fs, 4);
        check_pieces(fs, kPath + ".part", 4);
        const Bytes whole = fs.read(kPath + ".part", 1 << 20).value();
        const auto table = walk(fs, kPath + ".part", WalkDepth::heads)->table;
        for (std::size_t size = encode_header(kHeader).size(); size <= whole.size(); ++size) {
            fs.put("torn", Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
            const Walk walked = walk(fs, "torn", WalkDepth::hashes).value();
            std::size_t expected = 0;
            for (const PieceEntry& e : table) expected += e.age_offset + e.age_size <= size;
            CHECK(walked.table.size() == expected);
            CHECK(walked.whole_until + walked.left_bytes == size);
        }
    }

    TEST_CASE("a damaged piece in the middle costs that piece alone") {
        MemoryFileSystem fs;
        finished_clip(fs, 6);
        const Footer footer = read_footer(fs, kPath).value();
        fs.flip_bit(kPath, footer.table[2].age_offset + 7);
        fs.flip_bit(kPath, footer.table[4].offset + 3);
        const Walk walked = walk(fs, kPath, WalkDepth::hashes).value();
        CHECK(walked.table.size() == 4);
        CHECK(walked.damaged_bytes > 600);
        const ClipReader reader = ClipReader::open(fs, kPath).value();
        CHECK(reader.read_piece(1).ok());
        CHECK(reader.read_piece(2).error().code == ErrorCode::corrupt);
        CHECK(reader.read_piece(4).error().code == ErrorCode::corrupt);
        CHECK(reader.read_piece(5).ok());
        CHECK(reader.read_piece(6).error().code == ErrorCode::not_found);
    }

    TEST_CASE("the checker names the first bad byte and the rule, level by level") {
        MemoryFileSystem fs;
        finished_clip(fs, 4);
        const Footer footer = read_footer(fs, kPath).value();
        CHECK_FALSE(check_clip(fs, "nowhere", CheckLevel::presence).present);
        CHECK_FALSE(check_clip(fs, "nowhere", CheckLevel::presence).good());
        fs.flip_bit(kPath, footer.table[2].age_offset + 7);
        CHECK(check_clip(fs, kPath, CheckLevel::presence).good());
        CHECK(check_clip(fs, kPath, CheckLevel::size).good());
        const ClipCheck deep = check_clip(fs, kPath, CheckLevel::hash);
        REQUIRE_FALSE(deep.good());
        CHECK(deep.finished);
        CHECK(deep.pieces == 3);
        CHECK(deep.problems[0].at_byte == footer.table[2].offset);
        CHECK(deep.problems[0].rule.find("piece 2 does not have its SHA-256") != std::string::npos);
        fs.put("short", Bytes(100));
        CHECK_FALSE(check_clip(fs, "short", CheckLevel::size).good());
        CHECK_FALSE(check_clip(fs, "short", CheckLevel::hash).good());
    }

    TEST_CASE("any single flipped bit in a finished clip is found by the checker") {
        MemoryFileSystem fs;
        finished_clip(fs, 2);
        const std::uint64_t size = fs.size(kPath).value();
        for (std::uint64_t i = 0; i < size; ++i) {
            CAPTURE(i);
            fs.flip_bit(kPath, i);
            CHECK_FALSE(check_clip(fs, kPath, CheckLevel::hash).good());
            fs.flip_bit(kPath, i);
        }
        CHECK(check_clip(fs, kPath, CheckLevel::hash).good());
    }

    TEST_CASE("a broken footer does not shut the pieces away") {
        MemoryFileSystem fs;
        finished_clip(fs, 4);
        fs.flip_bit(kPath, fs.size(kPath).value() - 20);
        CHECK_FALSE(read_summary(fs, kPath).ok());
        const ClipReader reader = ClipReader::open(fs, kPath).value();
        CHECK_FALSE(reader.summary().has_value());
        check_pieces(fs, kPath, 4);
    }

    TEST_CASE("a taken name gives the next microsecond, a finished clip is never replaced") {
        MemoryFileSystem fs;
        finished_clip(fs, 2);
        const Bytes first = fs.read(kPath, 1 << 20).value();
        ClipWriter second = begun(fs, 2);
        ClipWriter third = begun(fs, 2);
        CHECK(second.relative_path() ==
              clip_path(kHeader.camera, kHeader.utc_begin + Micros(1), kHeader.run) + ".part");
        CHECK(third.relative_path() ==
              clip_path(kHeader.camera, kHeader.utc_begin + Micros(2), kHeader.run) + ".part");
        CHECK(second.finish(EndReason::target, "")->name_time == kHeader.utc_begin + Micros(1));
        CHECK(fs.read(kPath, 1 << 20).value() == first);
    }

    TEST_CASE("a piece of another clip, out of order or of the wrong kind is not written") {
        MemoryFileSystem fs;
        ClipWriter writer = begun(fs, 1);
        const std::uint64_t before = fs.size(kPath + ".part").value();
        PieceIdentity id = test::sample_identity(kHeader, 1);
        id.clip = {};
        CHECK(writer.append_piece(id, {}).error().code == ErrorCode::invalid);
        CHECK(writer.append_piece(test::sample_identity(kHeader, 2), {}).error().code ==
              ErrorCode::invalid);
        id = test::sample_identity(kHeader, 1);
        id.kind = PieceKind::init;
        CHECK(writer.append_piece(id, {}).error().code == ErrorCode::invalid);
        id = test::sample_identity(kHeader, 1);
        id.boot_end = id.boot_begin - Micros(1);
        CHECK(writer.append_piece(id, {}).error().code == ErrorCode::invalid);
        CHECK(fs.size(kPath + ".part").value() == before);
        CHECK(append_sample(writer).ok());
    }

    TEST_CASE("a full disk loses the piece that did not fit, and nothing else") {
        // Each capacity in turn: in the header, in a head, in an age file, in the footer.
        for (std::uint64_t capacity = 1; capacity < 4000; capacity += 7) {
            MemoryFileSystem fs;
            fs.set_capacity(capacity);
            auto writer = ClipWriter::begin(fs, "clips", kHeader);
            if (!writer) {
                CHECK(writer.error().code == ErrorCode::exhausted);
                CHECK(fs.paths().empty());
                continue;
            }
            while (writer->pieces() < 6 && append_sample(*writer).ok()) {
            }
            const std::size_t whole = writer->pieces();
            const auto summary = writer->finish(EndReason::disk_error, "no space left");
            if (summary) {
                CHECK(summary->pieces == whole);
                CHECK(check_clip(fs, kPath, CheckLevel::hash).good());
                check_pieces(fs, kPath, whole);
                continue;
            }
            CHECK(summary.error().code == ErrorCode::exhausted);
            check_pieces(fs, kPath + ".part", whole);
            fs.set_capacity(std::nullopt);
            const auto recovered = recover_part(fs, "clips", kName + ".part");
            REQUIRE(recovered.ok());
            if (whole >= 2) check_pieces(fs, kPath, whole);
        }
    }

    TEST_CASE("what a failed sync was for is not the clip's any more, whatever a later sync says") {
        for (const int after : {0, 2, 4}) {
            CAPTURE(after);
            MemoryFileSystem fs;
            ClipWriter writer = begun(fs, after);
            if (after > 0) REQUIRE(writer.sync().ok());
            REQUIRE(append_sample(writer).ok());
            REQUIRE(append_sample(writer).ok());
            fs.fail_at(fs.operations(), {ErrorCode::unavailable, "input/output error"});
            CHECK_FALSE(writer.sync().ok());
            CHECK(writer.broken());
            CHECK(writer.table().size() == static_cast<std::size_t>(after));
            CHECK_FALSE(append_sample(writer).ok());
            CHECK_FALSE(writer.sync().ok());
            if (after == 0) continue;
            const auto summary = writer.finish(EndReason::disk_error, "input/output error");
            REQUIRE(summary.ok());
            CHECK(summary->pieces == static_cast<unsigned>(after));
            fs.power_cut(Cut::lose_all);
            check_pieces(fs, kPath, static_cast<std::size_t>(after));
            CHECK(check_clip(fs, kPath, CheckLevel::hash).good());
        }
    }
    TEST_CASE("a clip whose last sync fails ends with what was synced before") {
        MemoryFileSystem fs;
        ClipWriter writer = begun(fs, 3);
        REQUIRE(writer.sync().ok());
        REQUIRE(append_sample(writer).ok());
        fs.fail_at(fs.operations() + 1, {ErrorCode::unavailable, "input/output error"});
        CHECK_FALSE(writer.finish(EndReason::target, "").ok());
        CHECK(writer.table().size() == 3);
    }
}

TEST_SUITE("index/clip/recover") {
    // Lives one clip's life until the power goes. Returns how many pieces were synced.
    struct Life {
        std::size_t synced = 0;
        bool finished = false;
    };
    Life live(FileSystem & fs) {
        Life life;
        auto writer = ClipWriter::begin(fs, "clips", kHeader);
        if (!writer) return life;
        for (std::size_t i = 0; i < 5; ++i) {
            if (!append_sample(*writer).ok()) return life;
            if (!writer->sync().ok()) return life;
            life.synced = i + 1;
        }
        life.finished = writer->finish(EndReason::target, "").ok();
        return life;
    }

    // Whatever .part there is gets finished; then the clip, wherever it is, must be good.
    void check_after_crash(MemoryFileSystem & fs, const Life& life) {
        for (const std::string& part : find_parts(fs, "clips", kHeader.camera).value())
            REQUIRE(recover_part(fs, "clips", part).ok());
        CHECK(find_parts(fs, "clips", kHeader.camera)->empty());
        if (life.finished) CHECK(read_summary(fs, kPath)->reason == EndReason::target);
        if (life.synced < 2) return;  // init alone is no clip
        REQUIRE(fs.exists(kPath));
        check_pieces(fs, kPath, life.synced);
        CHECK(check_clip(fs, kPath, CheckLevel::hash).good());
    }

    TEST_CASE("a power cut at any operation leaves all that was synced readable") {
        for (const Cut cut : {Cut::lose_all, Cut::keep_all, Cut::keep_half, Cut::zero_tails}) {
            for (std::uint64_t at = 0;; ++at) {
                CAPTURE(at);
                CAPTURE(static_cast<int>(cut));
                MemoryFileSystem fs;
                fs.cut_power_at(at);
                const Life life = live(fs);
                const bool whole_life = fs.operations() <= at;
                fs.power_cut(cut);
                if (life.synced > 0)
                    check_pieces(fs, fs.exists(kPath) ? kPath : kPath + ".part", life.synced);
                check_after_crash(fs, life);
                if (whole_life) break;
            }
        }
    }

    TEST_CASE("a power cut at any operation of recovery itself loses nothing either") {
        for (const Cut cut : {Cut::lose_all, Cut::keep_all, Cut::keep_half, Cut::zero_tails}) {
            for (std::uint64_t at = 0; at < 12; ++at) {
                CAPTURE(at);
                MemoryFileSystem fs;
                ClipWriter writer = begun(fs, 4);
                // A torn piece at the end: half of its one write.
                fs.fail_at(fs.operations(), {ErrorCode::unavailable, "killed"});
                CHECK_FALSE(append_sample(writer).ok());
                fs.power_cut(Cut::keep_all);
                fs.cut_power_at(fs.operations() + at);
                const bool done = recover_part(fs, "clips", kName + ".part").ok();
                fs.power_cut(cut);
                check_after_crash(fs, {.synced = 4, .finished = false});
                if (done) CHECK(read_summary(fs, kPath)->reason == EndReason::recovered);
            }
        }
    }

    TEST_CASE("a torn tail is cut, and the footer says how the clip ended") {
        MemoryFileSystem fs;
        ClipWriter writer = begun(fs, 3);
        fs.fail_at(fs.operations(), {ErrorCode::unavailable, "killed"});
        CHECK_FALSE(append_sample(writer).ok());
        const auto recovered = recover_part(fs, "clips", kName + ".part");
        REQUIRE(recovered.ok());
        CHECK(recovered->outcome == Recovery::finished);
        CHECK(recovered->relative_path == kName);
        CHECK(recovered->cut_bytes > 150);
        CHECK(recovered->summary->reason == EndReason::recovered);
        CHECK(read_summary(fs, kPath).value() == *recovered->summary);
    }

    TEST_CASE("a last piece whose head reached the disk and whose bytes did not is cut") {
        MemoryFileSystem fs;
        ClipWriter writer = begun(fs, 4);
        const PieceEntry last = walk(fs, kPath + ".part", WalkDepth::heads)->table.back();
        Bytes part = fs.read(kPath + ".part", 1 << 20).value();
        std::fill(part.begin() + static_cast<std::ptrdiff_t>(last.age_offset), part.end(),
                  std::uint8_t{0});
        fs.put(kPath + ".part", part);
        const auto recovered = recover_part(fs, "clips", kName + ".part");
        REQUIRE(recovered.ok());
        CHECK(recovered->summary->pieces == 3);
        CHECK(recovered->cut_bytes == last.age_offset + last.age_size - last.offset);
        CHECK(check_clip(fs, kPath, CheckLevel::hash).good());
    }

    TEST_CASE("a crash between footer and rename keeps the reason that the footer says") {
        MemoryFileSystem fs;
        ClipWriter writer = begun(fs, 3);
        fs.fail_at(fs.operations() + 2, {ErrorCode::unavailable, "killed"});  // the rename
        CHECK_FALSE(writer.finish(EndReason::codec_change, "").ok());
        const auto recovered = recover_part(fs, "clips", kName + ".part");
        REQUIRE(recovered.ok());
        CHECK(recovered->summary->reason == EndReason::codec_change);
        CHECK(recovered->cut_bytes == 0);
        CHECK(check_clip(fs, kPath, CheckLevel::hash).good());
    }

    TEST_CASE("files without a frame go away, strange ones are kept for a person") {
        MemoryFileSystem fs;
        const std::string part = kPath + ".part";
        const Bytes header = encode_header(kHeader);
        const auto recover = [&](const Bytes& bytes) {
            fs.put(part, bytes);
            return recover_part(fs, "clips", kName + ".part")->outcome;
        };
        CHECK(recover({}) == Recovery::removed);
        CHECK(recover(Bytes(5000, 0)) == Recovery::removed);
        CHECK(recover(Bytes(header.begin(), header.begin() + 5)) == Recovery::removed);
        CHECK(recover(Bytes(header.begin(), header.end() - 1)) == Recovery::removed);
        CHECK(recover(header) == Recovery::removed);
        CHECK(fs.paths().empty());
        CHECK(recover(Bytes(5000, 7)) == Recovery::moved_aside);
        CHECK(fs.paths() == std::vector<std::string>{part + ".bad"});
        const std::string other = clip_path({}, kHeader.utc_begin, kHeader.run) + ".part";
        fs.put("clips/" + other, fs.read(kPath + ".part.bad", 1 << 20).value());
        CHECK(recover_part(fs, "clips", other)->outcome == Recovery::moved_aside);
        CHECK(recover_part(fs, "clips", "../etc/passwd").error().code == ErrorCode::invalid);
        CHECK(recover_part(fs, "clips", kName).error().code == ErrorCode::invalid);
        CHECK(recover_part(fs, "clips", kName + ".part").error().code == ErrorCode::not_found);
    }

    TEST_CASE("recovery never replaces a finished clip") {
        MemoryFileSystem fs;
        finished_clip(fs, 3);
        const Bytes good = fs.read(kPath, 1 << 20).value();
        fs.put(kPath + ".part", good);
        CHECK(recover_part(fs, "clips", kName + ".part")->outcome == Recovery::moved_aside);
        CHECK(fs.read(kPath, 1 << 20).value() == good);
    }
}
