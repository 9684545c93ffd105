#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "index/journal/camera_journal.hpp"
#include "index/journal/journal.hpp"
#include "tests/support/memory_fs.hpp"
#include "tests/support/temp_folder.hpp"

using namespace hd;
using namespace hd::journal;
using test::Cut;
using test::MemoryFileSystem;

namespace {

Record record_of(std::uint16_t type, std::string_view text) {
    const ByteView bytes = as_bytes(text);
    return {type, Bytes(bytes.begin(), bytes.end())};
}

struct Content {
    std::vector<std::string> texts;
    std::vector<std::uint64_t> offsets;
    ReadReport report;
};

Content content_of(FileSystem& fs, const std::string& path, std::uint64_t from = 0) {
    Content out;
    const auto report =
        read(fs, path, "camera", from, [&](const Record& record, std::uint64_t offset) {
            out.texts.emplace_back(as_text(record.payload));
            out.offsets.push_back(offset);
        });
    REQUIRE(report.ok());
    out.report = *report;
    return out;
}

void write_three(FileSystem& fs, const std::string& path) {
    auto writer = Writer::open(fs, path, "camera");
    REQUIRE(writer.ok());
    for (const char* text : {"one", "two", "three"})
        REQUIRE(writer->append(record_of(1, text)).ok());
    REQUIRE(writer->sync().ok());
}

Stamp some_stamp() {
    return {random_id<BootId>(), {5'000'000}, {1'795'356'000'000'000}, ClockQuality::synchronised};
}

}  // namespace

TEST_SUITE("index/journal") {
    TEST_CASE("records come back in order, and from any offset") {
        MemoryFileSystem fs;
        write_three(fs, "j");
        const Content all = content_of(fs, "j");
        CHECK(all.texts == std::vector<std::string>{"one", "two", "three"});
        CHECK(all.report.records == 3);
        CHECK(all.report.damaged_bytes == 0);
        CHECK(all.report.torn_bytes == 0);
        CHECK(all.report.whole_until == fs.size("j").value());
        const Content rest = content_of(fs, "j", all.offsets[1]);
        CHECK(rest.texts == std::vector<std::string>{"two", "three"});
        CHECK(content_of(fs, "j", all.report.whole_until).texts.empty());
    }

    TEST_CASE("a journal opened again goes on, with one header") {
        MemoryFileSystem fs;
        write_three(fs, "j");
        const std::uint64_t before = fs.size("j").value();
        write_three(fs, "j");
        CHECK(content_of(fs, "j").texts.size() == 6);
        CHECK(fs.size("j").value() < 2 * before);
    }

    TEST_CASE("several writers may append to one file") {
        MemoryFileSystem fs;
        auto a = std::move(Writer::open(fs, "j", "camera")).value();
        auto b = std::move(Writer::open(fs, "j", "camera")).value();
        REQUIRE(a.append(record_of(1, "a1")).ok());
        REQUIRE(b.append(record_of(1, "b1")).ok());
        REQUIRE(a.append(record_of(1, "a2")).ok());
        CHECK(content_of(fs, "j").texts == std::vector<std::string>{"a1", "b1", "a2"});
    }

    TEST_CASE("after a failure the next record goes to the file opened anew") {
        const Error io{ErrorCode::unavailable, "I/O error"};
        MemoryFileSystem fs;
        write_three(fs, "j");
        auto writer = Writer::open(fs, "j", "camera");
        REQUIRE(writer.ok());
        // Half a record, then a sync that failed: neither is claimed, and both are got over.
        fs.fail_at(fs.operations(), io);
        CHECK_FALSE(writer->append(record_of(1, "half")).ok());
        CHECK_FALSE(writer->sync().ok());
        REQUIRE(writer->append(record_of(1, "four")).ok());
        fs.fail_at(fs.operations(), io);
        CHECK_FALSE(writer->sync().ok());
        CHECK_FALSE(writer->sync().ok());
        REQUIRE(writer->append(record_of(1, "five")).ok());
        REQUIRE(writer->sync().ok());
        // The drive was pulled and is back, with what it had: the descriptor of before is dead.
        fs.power_cut(Cut::lose_all);
        CHECK_FALSE(writer->append(record_of(1, "into nothing")).ok());
        REQUIRE(writer->append(record_of(1, "six")).ok());
        REQUIRE(writer->sync().ok());
        // The sync that failed dropped "four": whoever wrote it was told.
        CHECK(content_of(fs, "j").texts ==
              std::vector<std::string>{"one", "two", "three", "five", "six"});
    }

    TEST_CASE("a journal of another kind or version is refused, by the writer too") {
        MemoryFileSystem fs;
        write_three(fs, "j");
        const auto other = Writer::open(fs, "j", "clock");
        REQUIRE_FALSE(other.ok());
        CHECK(other.error().what == "j: is a \"camera\" journal, not \"clock\"");
        CHECK_FALSE(read(fs, "j", "clock", 0, [](const Record&, std::uint64_t) {}).ok());
    }

    TEST_CASE("a record that is too large, or of the header's type, is not written") {
        MemoryFileSystem fs;
        auto writer = std::move(Writer::open(fs, "j", "camera")).value();
        CHECK(writer.append({1, Bytes(kMaxRecordBytes + 1)}).error().code == ErrorCode::invalid);
        CHECK(writer.append({0, {}}).error().code == ErrorCode::invalid);
        CHECK(writer.append({1, Bytes(kMaxRecordBytes)}).ok());
        CHECK(content_of(fs, "j").report.records == 1);
    }

    TEST_CASE("whichever byte is damaged, only the record that holds it is lost") {
        MemoryFileSystem fs;
        write_three(fs, "j");
        const Content good = content_of(fs, "j");
        for (std::uint64_t at = 0; at < good.report.whole_until; ++at) {
            CAPTURE(at);
            MemoryFileSystem damaged;
            damaged.put("j", fs.read("j", 10'000).value());
            damaged.flip_bit("j", at);
            const Content left = content_of(damaged, "j");
            std::vector<std::string> expected = good.texts;
            for (std::size_t i = good.offsets.size(); i-- > 0;)
                if (at >= good.offsets[i]) {
                    expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(i));
                    break;
                }
            CHECK(left.texts == expected);
            CHECK(left.report.damaged_bytes + left.report.torn_bytes > 0);
        }
    }

    TEST_CASE("wherever the file is cut, whole records stay and the next one is found") {
        MemoryFileSystem fs;
        write_three(fs, "j");
        const Content good = content_of(fs, "j");
        const Bytes whole = fs.read("j", 10'000).value();
        for (std::size_t size = 0; size <= whole.size(); ++size) {
            CAPTURE(size);
            MemoryFileSystem torn;
            torn.put("j", Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
            std::size_t kept = 0;
            while (kept < 3 && (kept == 2 ? whole.size() : good.offsets[kept + 1]) <= size) ++kept;
            CHECK(content_of(torn, "j").texts.size() == kept);
            // A writer that comes after a crash may append without repair...
            auto writer = std::move(Writer::open(torn, "j", "camera")).value();
            REQUIRE(writer.append(record_of(1, "after")).ok());
            CHECK(content_of(torn, "j").texts.back() == "after");
            CHECK(content_of(torn, "j").texts.size() == kept + 1);
            // ...and with repair nothing torn is left.
            torn.put("j", Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
            const ReadReport report = repair_tail(torn, "j", "camera").value();
            CHECK(torn.size("j").value() == report.whole_until);
            CHECK(content_of(torn, "j").report.torn_bytes == 0);
        }
    }

    TEST_CASE("a power cut at any operation leaves every synced record readable") {
        for (const Cut cut : {Cut::lose_all, Cut::keep_all, Cut::keep_half, Cut::zero_tails}) {
            for (std::uint64_t at = 0;; ++at) {
                MemoryFileSystem fs;
                fs.cut_power_at(at);
                std::size_t synced = 0, appended = 0;
                auto writer = Writer::open(fs, "j", "camera");
                for (int i = 0; writer.ok() && i < 4; ++i) {
                    if (!writer->append(record_of(1, "r" + std::to_string(i))).ok()) break;
                    ++appended;
                    if (!writer->sync().ok()) break;
                    synced = appended;
                }
                const bool finished = synced == 4;
                fs.power_cut(cut);
                if (synced > 0) {
                    const Content left = content_of(fs, "j");
                    CHECK(left.texts.size() >= synced);
                    CHECK(left.texts.size() <= appended + 1);
                    for (std::size_t i = 0; i < left.texts.size(); ++i)
                        CHECK(left.texts[i] == "r" + std::to_string(i));
                }
                auto again = Writer::open(fs, "j", "camera");
                REQUIRE(again.ok());
                REQUIRE(again->append(record_of(1, "back")).ok());
                CHECK(content_of(fs, "j").texts.back() == "back");
                if (finished) break;
            }
        }
    }

    TEST_CASE("a long journal is read in chunks, with records across their edges") {
        MemoryFileSystem fs;
        auto writer = std::move(Writer::open(fs, "j", "camera")).value();
        for (int i = 0; i < 30; ++i)
            REQUIRE(writer.append({1, Bytes(100'000, static_cast<std::uint8_t>(i))}).ok());
        int seen = 0;
        const auto report = read(fs, "j", "camera", 0, [&](const Record& record, std::uint64_t) {
            CHECK(record.payload.size() == 100'000);
            CHECK(record.payload[0] == seen++);
        });
        CHECK(report->records == 30);
    }

    TEST_CASE("a file of something else gives no record and an honest count") {
        MemoryFileSystem fs;
        fs.put("j", Bytes(700'000, 0x9D));
        const Content c = content_of(fs, "j");
        CHECK(c.texts.empty());
        CHECK(c.report.torn_bytes == 700'000);
    }

    TEST_CASE("room for more records is kept behind the end, and no reader sees it") {
        const test::TempFolder folder;
        const std::string path = folder.path("a.log");
        auto writer = journal::Writer::open(real_file_system(), path, "camera");
        REQUIRE(writer.ok());
        const Fd probe(::open(folder.path("probe").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        if (::fallocate(probe.get(), FALLOC_FL_KEEP_SIZE, 0, 4096) != 0) {
            MESSAGE("skipped: this file system keeps no room (fallocate)");
            return;
        }
        struct stat there {};
        for (int i = 0; i < 200; ++i) {
            REQUIRE(writer->append({7, Bytes(90)}).ok());
            REQUIRE(::stat(path.c_str(), &there) == 0);
            CHECK(static_cast<std::uint64_t>(there.st_size) == writer->size());
            // Half of it is the least that is left before it is renewed.
            CHECK(there.st_blocks * 512 - there.st_size >= 2048);
        }
        const auto report = journal::repair_tail(real_file_system(), path, "camera");
        REQUIRE(report.ok());
        CHECK(report->records == 200);
        CHECK(report->torn_bytes == 0);
    }
}

TEST_SUITE("index/journal/camera") {
    template <typename T>
    T round_trip(const T& value) {
        const auto back = decode_camera_record(encode(CameraRecord(value)));
        REQUIRE(back.ok());
        REQUIRE(std::holds_alternative<T>(*back));
        CHECK(std::get<T>(*back).when == value.when);
        return std::get<T>(*back);
    }

    TEST_CASE("every camera record keeps its fields") {
        const CameraId camera = random_id<CameraId>();
        const Configured c = round_trip(Configured{some_stamp(), camera, "front door"});
        CHECK(c.camera == camera);
        CHECK(c.name == "front door");
        round_trip(Disabled{some_stamp()});
        round_trip(GapEnded{some_stamp()});
        CHECK(round_trip(RunBegan{some_stamp(), {7}, "camera"}).encoder == "camera");
        const RunEnded e = round_trip(RunEnded{some_stamp(), {7}, GapCause::stalled, "3 s"});
        CHECK(e.run.value == 7);
        CHECK(e.cause == GapCause::stalled);
        CHECK(e.detail == "3 s");
        CHECK(round_trip(GapBegan{some_stamp(), GapCause::disk_error, ""}).cause ==
              GapCause::disk_error);
        ClipClosed closed{some_stamp(), random_id<ClipId>(),       {9}, {1'795'356'000'000'001},
                          12'345'678,   sha256(as_bytes("pieces"))};
        const ClipClosed back = round_trip(closed);
        CHECK(back.clip == closed.clip);
        CHECK(back.name_time == closed.name_time);
        CHECK(back.size_bytes == closed.size_bytes);
        CHECK(back.pieces_sha256 == closed.pieces_sha256);
    }

    TEST_CASE("a clock record keeps a step backwards") {
        const ClockRecord back =
            decode_clock_record(encode(ClockRecord{some_stamp(), -3'600'000'000})).value();
        CHECK(back.stepped_us == -3'600'000'000);
    }

    TEST_CASE("what a later version appends is passed over, what is cut off is not") {
        Record record = encode(CameraRecord(RunBegan{some_stamp(), {7}, "camera"}));
        Record later = record;
        later.payload.insert(later.payload.end(), {1, 2, 3, 4});
        const auto read_later = decode_camera_record(later);
        REQUIRE(read_later.ok());
        CHECK(std::get<RunBegan>(*read_later).run.value == 7);
        while (!record.payload.empty()) {
            record.payload.pop_back();
            const auto cut = decode_camera_record(record);
            REQUIRE_FALSE(cut.ok());
            CHECK(cut.error().code == ErrorCode::corrupt);
        }
    }

    TEST_CASE("a record of a type that is not known here is not found, not corrupt") {
        CHECK(decode_camera_record({999, {}}).error().code == ErrorCode::not_found);
        CHECK(decode_clock_record({1, {}}).error().code == ErrorCode::not_found);
    }

    TEST_CASE("an unknown cause names its byte and rule") {
        Record record = encode(CameraRecord(GapBegan{some_stamp(), GapCause::closed, ""}));
        record.payload[33] = 200;
        CHECK(decode_camera_record(record).error().what ==
              "journal record gap_began: byte 33: no such cause of a gap");
    }

    TEST_CASE("a long text is cut between characters") {
        std::string name = "x";
        while (name.size() < 2000) name += "\xC3\xA9";
        const Configured c = round_trip(Configured{some_stamp(), {}, name});
        CHECK(c.name.size() == 1023);
    }
}
