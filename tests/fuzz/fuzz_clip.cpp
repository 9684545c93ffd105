// Invariants checked, on any bytes:
//  - header, piece head, footer and summary decoders give a value or an error, never a crash;
//  - what decodes encodes to the same bytes (header, identity);
//  - the extensions of a header that we know are read, or are nothing, whatever they hold;
//  - a walk finds only pieces that lie in the file, in order, and accounts for every byte;
//  - a piece that the reader hands out has the SHA-256 that its head says;
//  - the checker never fails, and a file that it calls good and finished has a summary of its size;
//  - recovery of the bytes as a ".part" leaves a file that the checker accepts.
#include <cstdint>
#include <cstdlib>

#include "index/clip/clip_check.hpp"
#include "index/clip/clip_reader.hpp"
#include "index/clip/recover.hpp"
#include "tests/support/memory_fs.hpp"

using namespace hd;

namespace {

void walks_and_reads(test::MemoryFileSystem& fs, std::uint64_t size) {
    const auto walked = clip::walk(fs, "clip", clip::WalkDepth::hashes);
    if (walked) {
        HD_CHECK(walked->whole_until + walked->left_bytes == size);
        std::uint64_t covered = walked->header.bytes.size() + walked->damaged_bytes;
        for (const clip::PieceEntry& e : walked->table)
            covered += e.age_offset + e.age_size - e.offset;
        HD_CHECK(covered == walked->whole_until);
        HD_CHECK(clip::encode_header(walked->header.header) == walked->header.bytes);
    }
    const auto reader = clip::ClipReader::open(fs, "clip");
    for (std::size_t i = 0; reader.ok() && i < reader->table().size(); ++i)
        if (const auto piece = reader->read_piece(i); piece)
            HD_CHECK(sha256(piece->age_file) == piece->age_sha256);
    const clip::ClipCheck check = clip::check_clip(fs, "clip", clip::CheckLevel::hash);
    if (check.good() && check.finished)
        HD_CHECK(clip::read_summary(fs, "clip")->size_bytes == size);
}

void reads_extensions(const clip::ClipHeader& header) {
    if (const auto words = clip::audio_words(header.extensions))
        HD_CHECK(clip::audio_words({clip::audio_extension(*words)}) == words);
    if (const auto key = clip::key_distance(header.extensions))
        HD_CHECK(clip::key_distance({clip::key_extension(*key)}) == key);
}

void recovers(ByteView in) {
    CameraId camera;  // of the corpus
    camera.bytes.fill(0x22);
    const std::string name = clip::clip_path(camera, {0}, {});
    test::MemoryFileSystem fs;
    fs.put("clips/" + name + ".part", Bytes(in.begin(), in.end()));
    const auto recovered = clip::recover_part(fs, "clips", name + ".part");
    HD_CHECK(recovered.ok());
    if (recovered->outcome != clip::Recovery::finished) return;
    HD_CHECK(clip::read_summary(fs, "clips/" + name).ok());
    HD_CHECK(clip::read_footer(fs, "clips/" + name).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 1 << 20) return 0;
    const ByteView in(data, size);
    std::size_t used = 0;
    if (const auto header = clip::decode_header(in, used)) reads_extensions(*header);
    (void)clip::decode_piece_head(in, used).ok();
    (void)clip::decode_footer(in, 1000).ok();
    (void)clip::decode_summary(in, size).ok();
    test::MemoryFileSystem fs;
    fs.put("clip", Bytes(in.begin(), in.end()));
    walks_and_reads(fs, size);
    recovers(in);
    return 0;
}
