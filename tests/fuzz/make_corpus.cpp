// Writes the first corpus of the fuzzers clip, journal, age_header and identity, and of some
// notices.
//   make_corpus tests/fuzz/corpus
#include <cstdio>

#include "index/base/files.hpp"
#include "index/journal/camera_journal.hpp"
#include "index/journal/hold_journal.hpp"
#include "index/seal/piece_stanza.hpp"
#include "index/seal/seal.hpp"
#include "pipelines/link/notice.hpp"
#include "tests/index/clip_samples.hpp"
#include "tests/support/memory_fs.hpp"

using namespace hd;

namespace {

void put(const std::string& path, ByteView bytes) {
    HD_CHECK(write_file_atomic(path, bytes, 0644).ok());
}

void clips(const std::string& folder) {
    test::MemoryFileSystem fs;
    const clip::ClipHeader h = test::sample_header();
    auto writer = std::move(clip::ClipWriter::begin(fs, "c", h)).value();
    for (std::uint32_t i = 0; i < 3; ++i)
        HD_CHECK(
            writer.append_piece(test::sample_identity(h, i), test::sample_age_file(i, 40)).ok());
    Bytes part = fs.read("c/" + writer.relative_path(), 1 << 20).value();
    put(folder + "/clip/unfinished", part);
    part.resize(part.size() - 10);
    put(folder + "/clip/torn", part);
    HD_CHECK(writer.finish(clip::EndReason::target, "done").ok());
    put(folder + "/clip/finished", fs.read("c/" + writer.relative_path(), 1 << 20).value());
    put(folder + "/clip/header", clip::encode_header(h));
    clip::ClipHeader known = h;
    known.extensions = {clip::audio_extension("AAC, 16000 Hz"),
                        clip::key_extension({h.clip, Micros(40'000)})};
    put(folder + "/clip/header-extensions", clip::encode_header(known));

    put(folder + "/identity/video", clip::encode_identity(test::sample_identity(h, 1)));
    clip::PieceIdentity extended = test::sample_identity(h, 0);
    extended.extensions = {{1, {2, 3}}, {4, {}}};
    put(folder + "/identity/extended", clip::encode_identity(extended));
}

void journals(const std::string& folder) {
    test::MemoryFileSystem fs;
    auto writer = std::move(journal::Writer::open(fs, "j", "camera")).value();
    const journal::Stamp when{{}, {1}, {2}, ClockQuality::assumed};
    const std::vector<journal::CameraRecord> records{
        journal::Configured{when, {}, "front"},
        journal::RunBegan{when, {1}, "camera"},
        journal::GapBegan{when, journal::GapCause::stalled, ""},
        journal::GapEnded{when},
        journal::RunEnded{when, {1}, journal::GapCause::closed, "x"},
        journal::ClipClosed{when, {}, {1}, {3}, 4, {}},
        journal::Disabled{when}};
    for (const auto& record : records) {
        HD_CHECK(writer.append(journal::encode(record)).ok());
        const journal::Record encoded = journal::encode(record);
        put(folder + "/journal/record-" + std::to_string(encoded.type), encoded.payload);
    }
    HD_CHECK(writer.append(journal::encode(journal::ClockRecord{when, -5})).ok());
    Bytes file = fs.read("j", 1 << 20).value();
    put(folder + "/journal/whole", file);
    file.resize(file.size() - 3);
    file[40] ^= 1;
    put(folder + "/journal/torn", file);
}

void put_log(const std::string& path, const char* kind, const std::vector<journal::Record>& all) {
    test::MemoryFileSystem fs;
    auto writer = std::move(journal::Writer::open(fs, "j", kind)).value();
    for (const journal::Record& record : all) HD_CHECK(writer.append(record).ok());
    put(path, fs.read("j", 1 << 20).value());
}

// clock.log, and the payloads of holds.log.
void logs(const std::string& folder) {
    journal::Stamp when{{}, {1'000'000}, {1'795'356'000'000'000}, ClockQuality::assumed};
    std::vector<journal::Record> clocks{journal::encode(journal::ClockRecord{when, 0})};
    when.quality = ClockQuality::synchronised;
    when.utc.us += 3'600'000'000;
    clocks.push_back(journal::encode(journal::ClockRecord{when, 3'600'000'000}));
    put_log(folder + "/journal/clock-log", "clock", clocks);
    put(folder + "/journal/record-clock", clocks.back().payload);

    const journal::RunEnded ended{when,
                                  {1},
                                  journal::GapCause::closed,
                                  "x",
                                  journal::CameraClock{Micros(5), Micros(2), 30, 1}};
    put(folder + "/journal/record-4-camera-clock", journal::encode(ended).payload);

    const journal::HoldId id{{9}};
    const WallTime from{1'795'356'000'000'000}, to{1'795'359'600'000'000};
    const journal::HoldSet hold{id, CameraId{{1}}, {from, to}, WallTime{to.us * 2}, to, "a theft"};
    put(folder + "/journal/record-hold", journal::encode(hold).payload);
    const journal::HoldSet all{id, std::nullopt, {from, to}, std::nullopt, to, ""};
    put(folder + "/journal/record-hold-all", journal::encode(all).payload);
    put(folder + "/journal/record-lifted", journal::encode(journal::HoldLifted{id, to}).payload);
}

void notices(const std::string& folder) {
    const auto write = [&](const char* name, const link::Message& message) {
        put(folder + "/notice/" + name, link::encode(message));
    };
    write("encoder-report", link::EncoderReport{.needed = true,
                                                .width = 1920,
                                                .height = 1080,
                                                .millihertz_in = 25'000,
                                                .millihertz_out = 24'900,
                                                .frames_left_out = 3,
                                                .element = "x264enc",
                                                .failed = {"v4l2h264enc", "vah264enc"}});
    write("encoder-grant", link::EncoderGrant{{"v4l2h264enc", "x264enc"}, "one of two"});
    link::RecorderSettings settings;
    settings.url = "rtsp://10.0.0.7/s";
    settings.user = "hub";
    settings.data_folder = "/d";
    settings.recipients.resize(2);
    write("settings", link::NewSettings{settings});
    write("sync-ask", link::SyncAsk{7, 0x801});
    write("sync-answer", link::SyncAnswer{7, true});
    write("progress", link::Progress{.frames = 100, .bytes = 10'000, .damaged_frames = 2});
}

void age(const std::string& folder) {
    Secret<32> secret;  // as in fuzz_age_header.cpp
    for (std::size_t i = 0; i < 32; ++i) secret.mut()[i] = static_cast<std::uint8_t>(i + 1);
    const seal::Identity id = seal::identity_from_secret(std::move(secret));
    const std::vector<seal::Stanza> extra{
        seal::make_piece_stanza(as_bytes("clip"), as_bytes("id"))};
    put(folder + "/age_header/sealed",
        seal::seal(as_bytes("hello"), {{id.recipient, id.recipient}}, extra).value());
    put(folder + "/age_header/recipient", as_bytes(seal::to_string(id.recipient)));
    put(folder + "/age_header/stanzas",
        seal::serialise_header({{"a", {"1", "2"}, Bytes(49)}, {"b", {}, Bytes(48)}}, {}));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    clips(argv[1]);
    journals(argv[1]);
    logs(argv[1]);
    notices(argv[1]);
    age(argv[1]);
    return 0;
}
