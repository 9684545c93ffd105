// Where the video of a camera ended that nobody records now, by its files.
#include <doctest/doctest.h>

#include "gateway/daemon/last_video.hpp"
#include "index/clip/clip_reader.hpp"
#include "index/clip/recover.hpp"
#include "tests/index/clip_samples.hpp"
#include "tests/support/memory_fs.hpp"

using namespace hd;
using namespace hd::daemon;

TEST_SUITE("gateway/daemon/last_video") {
    TEST_CASE("video ended where recovery will end its clip, also when pieces lost their bytes") {
        const clip::ClipHeader header = test::sample_header();
        BootId other;
        other.bytes.fill(0x77);
        // Piece 0 is the init piece; each other one is a second. The power, or a drive that was
        // pulled and is back in the same boot, took the bytes of one of the newest.
        for (const BootId& boot : {header.boot, other}) {
            for (const std::size_t bad : {0u, 3u, 5u, 6u}) {
                CAPTURE(bad);
                test::MemoryFileSystem fs;
                auto writer = clip::ClipWriter::begin(fs, "clips", header);
                REQUIRE(writer.ok());
                for (std::uint32_t i = 0; i < 7; ++i)
                    REQUIRE(writer
                                ->append_piece(test::sample_identity(header, i),
                                               test::sample_age_file(i))
                                .ok());
                REQUIRE(writer->sync().ok());
                const std::string path = writer->relative_path();
                if (bad > 0) fs.flip_bit("clips/" + path, writer->table()[bad].age_offset + 299);
                const journal::Stamp now{.boot = boot,
                                         .at = header.boot_begin + std::chrono::hours(1),
                                         .utc = header.utc_begin + std::chrono::hours(1),
                                         .quality = ClockQuality::synchronised};
                const JournalWord known{.edge = {},
                                        .boots = {header.boot},
                                        .run = header.run,
                                        .edge_run = header.run,
                                        .closed = {}};
                const auto newest = newest_video(fs, "clips", header.camera, known, now);
                REQUIRE(newest.has_value());
                const auto recovered = clip::recover_part(fs, "clips", path);
                REQUIRE(recovered.ok());
                CHECK(newest->end.at == recovered->summary->boot_end);
                CHECK(newest->begin.at == recovered->summary->boot_begin);
                CHECK(newest->end.at == header.boot_begin + std::chrono::seconds(bad == 6 ? 5 : 6));
            }
        }
    }
}
