// dump, time, open, check, reindex: on files that halfdoor-recorder made from a video file.
#include <cstdio>

#include <doctest/doctest.h>

#include "index/clip/clip_reader.hpp"
#include "tests/tools/cli_tools.hpp"

namespace hd::test {
namespace {

const std::string kCamera = "0b1f0000000000000000000000000001";

bool have(const std::string& program) {
    return std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0;
}

// By default ten seconds of moving picture at 25 fps, a key frame a second.
bool make_video(const Desk& desk,
                const std::string& picture = "-f lavfi -i testsrc2=size=320x240:rate=25 -t 10",
                const std::string& encoder = "-g 25") {
    if (!have("ffmpeg")) {
        std::printf("skipped: no ffmpeg to make a video\n");
        return false;
    }
    const std::string command = "ffmpeg -v error -y " + picture +
                                " -pix_fmt yuv420p -c:v libx264 -preset ultrafast " + encoder +
                                " " + (desk / "in.mp4");
    if (std::system(command.c_str()) == 0) return true;
    std::printf("skipped: this ffmpeg cannot encode H.264\n");
    return false;
}

std::string public_key(const Desk& desk, const std::string& key) {
    const std::string text = slurp(desk / key);
    const auto at = text.find("age1");
    return text.substr(at, text.find('\n', at) - at);
}

// Clips of 3 s in data/, sealed to owner.key. The paths, oldest first.
std::vector<std::string> record(const Desk& desk) {
    desk.hub();
    const Ran done =
        desk.program("HALFDOOR_RECORDER", {"--input", "in.mp4", "--start", "2026-11-22T14:00:00Z",
                                           "--data", "data", "--camera", kCamera, "--recipient",
                                           public_key(desk, "owner.key"), "--clip-seconds", "3"});
    REQUIRE_MESSAGE(done.code == 0, done.err);
    std::vector<std::string> found;
    const std::filesystem::path clips = desk / ("data/clips/" + kCamera);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(clips))
        if (entry.path().extension() == ".clip") found.push_back(entry.path().string());
    std::sort(found.begin(), found.end());
    REQUIRE(found.size() >= 3);
    return found;
}

void flip_byte(const std::string& path, std::size_t at) {
    std::string bytes = slurp(path);
    REQUIRE(at < bytes.size());
    bytes[at] = static_cast<char>(bytes[at] ^ 0x40);
    spill(path, bytes);
}

}  // namespace

TEST_SUITE("tools/cli/files") {
    TEST_CASE("a clip is dumped without a key: header, pieces, footer, and whether stanzas fit") {
        const Desk desk;
        if (!make_video(desk)) return;
        const auto clips = record(desk);
        const Ran dumped = desk.halfdoor({"dump", "--headers", "--hashes", clips[0]});
        REQUIRE_MESSAGE(dumped.code == 0, dumped.err);
        const auto lines = dumped.lines();
        CHECK(lines.front()["record"] == "header");
        CHECK(lines.front()["camera"] == kCamera);
        CHECK(lines[1]["kind"] == "init");
        std::uint64_t frames = 0;
        for (const auto& line : lines) {
            if (line["record"] != "piece") continue;
            CHECK(line["age"]["stanza_fits"] == true);
            CHECK(line["age"]["stanzas"].size() == 2);
            frames += line["frames"].get<std::uint64_t>();
        }
        const auto& footer = lines[lines.size() - 2];
        CHECK(footer["record"] == "footer");
        CHECK(footer["frames"] == frames);
        CHECK(lines.back()["whole"] == true);

        // The last byte of a piece in the middle: its hash tells.
        const std::uint64_t at = lines[2]["age_offset"].get<std::uint64_t>() +
                                 lines[2]["age_bytes"].get<std::uint64_t>() - 1;
        flip_byte(clips[0], at);
        const Ran damaged = desk.halfdoor({"dump", "--hashes", clips[0]});
        CHECK(damaged.code == 4);
        CHECK(damaged.lines().back()["whole"] == false);
    }

    TEST_CASE("journals, cards, policies and age files are dumped by what they are") {
        const Desk desk;
        if (!make_video(desk)) return;
        record(desk);
        const Ran journal = desk.halfdoor({"dump", "data/journal/" + kCamera + ".log"});
        REQUIRE_MESSAGE(journal.code == 0, journal.err);
        CHECK(contains(journal.out, "clip_closed"));
        CHECK(journal.lines().back()["kind"] == "camera");
        const Ran card = desk.halfdoor({"dump", "owner.card"});
        CHECK(card.json()["note"] == "halfdoor-card/v1");
        CHECK(card.json()["verified"] == true);
        const Ran policy = desk.halfdoor({"dump", "data/policy/1.note"});
        CHECK(policy.json()["note"] == "halfdoor-policy/v1");
        spill(desk / "junk", std::string("\0\1\2\3", 4));
        CHECK(desk.halfdoor({"dump", "junk"}).code == 4);
        CHECK(desk.halfdoor({"dump", "no-such-file"}).code != 0);
    }

    TEST_CASE("the owner opens clips into one MP4 with every frame; nobody else opens any") {
        const Desk desk;
        if (!make_video(desk)) return;
        const auto clips = record(desk);
        desk.person("eve", "owner");
        std::vector<std::string> args{"open"};
        args.insert(args.end(), clips.begin(), clips.end());
        auto stolen = args;
        stolen.insert(stolen.end(), {"--key", "eve.key", "-o", "eve.mp4"});
        const Ran refused = desk.halfdoor(stolen);
        CHECK(refused.code == 1);
        CHECK(slurp(desk / "eve.mp4").empty());

        args.insert(args.end(), {"--key", "owner.key", "-o", "out.mp4", "--json"});
        const Ran opened = desk.halfdoor(args);
        REQUIRE_MESSAGE(opened.code == 0, opened.err);
        CHECK(opened.json()["frames"] == 250);
        CHECK(opened.json()["seconds"].get<double>() == doctest::Approx(10.0).epsilon(0.01));
        CHECK(mode_of(desk / "out.mp4") == 0600);
        const Ran again = desk.halfdoor(args);
        CHECK(again.code == 2);
        CHECK(contains(again.err, "--force"));
        if (have("ffmpeg"))
            CHECK(std::system(("ffmpeg -v error -xerror -i " + (desk / "out.mp4") +
                               " -f null - >/dev/null 2>&1")
                                  .c_str()) == 0);
    }

    TEST_CASE(
        "clips without a key frame are opened with what came before them, or said and counted") {
        const Desk desk;
        // Five minutes with one key frame: cut by time, in the middle of reordered pictures.
        if (!make_video(desk, "-f lavfi -i testsrc2=size=64x64:rate=10 -t 290",
                        "-bf 3 -g 100000 -sc_threshold 0"))
            return;
        const auto clips = record(desk);
        REQUIRE(clips.size() == 3);
        const auto open = [&](std::vector<std::string> files, const std::string& out) {
            files.insert(files.begin(), "open");
            files.insert(files.end(), {"--key", "owner.key", "-o", out, "--json"});
            return desk.halfdoor(files);
        };
        const Ran all = open(clips, "all.mp4");
        REQUIRE_MESSAGE(all.code == 0, all.err);
        CHECK(all.json()["frames"] == 2900);
        CHECK(all.json()["hidden"] == 0);
        const auto frames_of = [&](const std::string& clip) {
            const auto lines = desk.halfdoor({"dump", clip}).lines();
            return lines[lines.size() - 2]["frames"].get<int>();
        };
        // The third alone: the first two are beside it, and hidden.
        const Ran third = open({clips[2]}, "third.mp4");
        REQUIRE_MESSAGE(third.code == 0, third.err);
        CHECK(contains(third.err, std::filesystem::path(clips[0]).filename().string()));
        CHECK(third.json()["frames"] == 2900);
        CHECK(third.json()["hidden"] == 2900 - frames_of(clips[2]));
        // Behind the first one they cannot be hidden: a file of its own.
        const Ran hole = open({clips[0], clips[2]}, "hole.mp4");
        REQUIRE_MESSAGE(hole.code == 0, hole.err);
        REQUIRE(hole.lines().size() == 2);
        CHECK(hole.lines()[1]["hidden"] == third.json()["hidden"]);

        // The second is deleted: what plays is written, the rest is said.
        std::filesystem::remove(clips[1]);
        const Ran without = open({clips[0], clips[2]}, "without.mp4");
        CHECK(without.code == 1);
        CHECK(contains(without.err, "nothing is here between"));
        CHECK(without.json()["frames"] == frames_of(clips[0]));
        CHECK(without.json()["dropped"] == frames_of(clips[2]));
        // And then the one with the key frame, too.
        std::filesystem::remove(clips[0]);
        const Ran alone = open({clips[2]}, "alone.mp4");
        CHECK(alone.code == 1);
        CHECK(contains(alone.err, "begins without a key frame: it needs clip"));
        CHECK_FALSE(std::filesystem::exists(desk / "alone.mp4"));
    }

    TEST_CASE("a clip that says another hour than it was sealed with is refused") {
        const Desk desk;
        if (!make_video(desk)) return;
        const auto clips = record(desk);
        const auto original = clip::read_header(real_file_system(), clips[0]);
        REQUIRE(original);
        clip::ClipHeader forged = original->header;
        forged.utc_begin = forged.utc_begin + std::chrono::hours(1);
        const Bytes header = clip::encode_header(forged);
        REQUIRE(header.size() == original->bytes.size());
        // Checksums, hashes and footer still fit: only the stanza inside each age header tells.
        spill(clips[0], std::string(as_text(header)) + slurp(clips[0]).substr(header.size()));
        CHECK(desk.halfdoor({"dump", "--hashes", clips[0]}).code == 0);
        CHECK(desk.halfdoor({"dump", "--headers", clips[0]}).code == 4);
        const Ran opened =
            desk.halfdoor({"open", clips[0], "--key", "owner.key", "-o", "forged.mp4"});
        CHECK(opened.code == 1);
        CHECK(contains(opened.err, "piece 0"));
        CHECK(slurp(desk / "forged.mp4").empty());
    }

    TEST_CASE("pieces of one clip behind the header of another are not taken for whole") {
        const Desk desk;
        if (!make_video(desk)) return;
        const auto clips = record(desk);
        const std::string a = slurp(clips[0]), b = slurp(clips[1]);
        const auto first = desk.halfdoor({"dump", clips[0]}).lines()[1]["offset"];
        const auto second = desk.halfdoor({"dump", clips[1]}).lines()[1]["offset"];
        spill(clips[0],
              b.substr(0, second.get<std::size_t>()) + a.substr(first.get<std::size_t>()));
        CHECK(desk.halfdoor({"dump", clips[0]}).code == 4);
        const Ran opened =
            desk.halfdoor({"open", clips[0], "--key", "owner.key", "-o", "forged.mp4"});
        CHECK(opened.code != 0);
        CHECK(slurp(desk / "forged.mp4").empty());
    }

    TEST_CASE("check finds what is missing or damaged; reindex and repair make rows again") {
        const Desk desk;
        if (!make_video(desk)) return;
        const auto clips = record(desk);
        CHECK(desk.halfdoor({"check", "--data", "data"}).code == 1);  // no index yet
        REQUIRE(desk.halfdoor({"reindex", "--data", "data"}).code == 0);
        const Ran whole = desk.halfdoor({"check", "--data", "data", "--hash", "--json"});
        CHECK_MESSAGE(whole.code == 0, (whole.out + whole.err));

        std::filesystem::remove(clips[1]);
        const Ran missing = desk.halfdoor({"check", "--data", "data", "--json"});
        CHECK(missing.code == 1);
        CHECK(missing.json()["kind"] == "row_without_file");
        CHECK(desk.halfdoor({"check", "--data", "data", "--repair"}).code == 0);
        CHECK(desk.halfdoor({"check", "--data", "data"}).code == 0);

        flip_byte(clips[0], slurp(clips[0]).size() / 2);
        CHECK(desk.halfdoor({"check", "--data", "data"}).code == 0);
        CHECK(desk.halfdoor({"check", "--data", "data", "--hash"}).code == 4);
    }

    TEST_CASE("time translates between every notation") {
        const Desk desk;
        if (!make_video(desk)) return;
        const auto clips = record(desk);
        const auto named = desk.halfdoor({"time", clips[0], "--json"}).json();
        CHECK(named["utc"] == "2026-11-22T14:00:00.000000Z");
        const auto from_unix =
            desk.halfdoor({"time", std::to_string(named["unix_us"].get<std::int64_t>()), "--json"});
        CHECK(from_unix.json()["utc"] == named["utc"]);
        CHECK(desk.halfdoor({"time", "1795356000", "--json"}).json()["utc"] == named["utc"]);
        CHECK(desk.halfdoor({"time", "2026-11-22T15:00:00+01:00", "--json"}).json()["utc"] ==
              named["utc"]);
        CHECK(desk.halfdoor({"time", "half past"}).code == 2);
    }
}

}  // namespace hd::test
