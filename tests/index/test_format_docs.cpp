// The worked examples of docs/formats are what the code writes. On a failure the test prints what
// belongs into the page.
#include <cstdio>

#include <doctest/doctest.h>

#include "index/base/files.hpp"
#include "index/clip/clip_format.hpp"
#include "index/journal/camera_journal.hpp"
#include "index/seal/piece_stanza.hpp"
#include "tests/index/clip_samples.hpp"
#include "tests/support/hex_dump.hpp"
#include "tests/support/memory_fs.hpp"

using namespace hd;

namespace {

void check_page(const std::string& name, const std::vector<std::string>& lines) {
    const auto page = real_file_system().read(
        std::string(HALFDOOR_SOURCE_ROOT) + "/docs/formats/" + name, 1 << 20);
    REQUIRE(page.ok());
    std::string block;
    for (const std::string& line : lines) block += line + "\n";
    const bool found = as_text(*page).find(block) != std::string_view::npos;
    if (!found) std::printf("docs/formats/%s should hold:\n%s", name.c_str(), block.c_str());
    CHECK(found);
}

}  // namespace

TEST_SUITE("docs/formats") {
    TEST_CASE("the example of clip.md is the file that the writer makes") {
        test::MemoryFileSystem fs;
        const clip::ClipHeader h = test::sample_header();
        auto writer = std::move(clip::ClipWriter::begin(fs, "clips", h)).value();
        REQUIRE(writer.append_piece(test::sample_identity(h, 0), as_bytes("age-0")).ok());
        REQUIRE(writer.append_piece(test::sample_identity(h, 1), as_bytes("age-1")).ok());
        REQUIRE(writer.finish(clip::EndReason::target, "").ok());
        const Bytes file = fs.read("clips/" + writer.relative_path(), 1 << 20).value();
        check_page("clip.md", test::hex_dump(file));
    }

    TEST_CASE("the example of journal.md is the file that the writer makes") {
        test::MemoryFileSystem fs;
        auto writer = std::move(journal::Writer::open(fs, "j", "camera")).value();
        journal::Stamp when{{}, {100'000'000}, {1'795'356'000'000'000}, ClockQuality::synchronised};
        when.boot.bytes.fill(0x44);
        const journal::CameraRecord gap =
            journal::GapBegan{when, journal::GapCause::stalled, "no frame for 3 s"};
        REQUIRE(writer.append(journal::encode(gap)).ok());
        check_page("journal.md", test::hex_dump(fs.read("j", 1000).value()));
    }

    TEST_CASE("the example of age.md is the header that seal writes") {
        const clip::ClipHeader h = test::sample_header();
        const Bytes identity = clip::encode_identity(test::sample_identity(h, 1));
        seal::FileKey key;
        for (std::size_t i = 0; i < 16; ++i) key.mut()[i] = static_cast<std::uint8_t>(i);
        const Bytes header = seal::serialise_header(
            {seal::make_piece_stanza(clip::encode_header(h), identity)}, key);
        std::string text(as_text(header));
        text.pop_back();
        check_page("age.md", {text});
    }
}
