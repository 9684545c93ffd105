#include <doctest/doctest.h>

#include "tests/gateway/household.hpp"
#include "tests/support/memory_fs.hpp"

using namespace hd;
using namespace hd::consent;
using hd::test::clip_id_of;
using hd::test::Household;
using hd::test::MemoryFileSystem;
using hd::test::RecordedClip;

namespace {

using std::chrono::hours;
using std::chrono::seconds;

// A release of two clips, as the hub lays it out over clip files in memory.
struct Scene {
    Household home;
    test::TakenRequest taken = test::take_request(home);
    std::vector<RecordedClip> clips;
    Approval approval;
    std::string answer;
    MemoryFileSystem fs;
    std::vector<seal::Identity> keys;

    Scene() {
        clips.push_back(home.record(home.front, clip_id_of(1), home.window.begin, 6));
        clips.push_back(home.record(home.yard, clip_id_of(2), home.window.begin + seconds(60), 4));
        std::vector<ClipBundle> bundles;
        for (const auto& c : clips) bundles.push_back(c.bundle());
        const auto trusted = trust_request(taken.made.request.bytes, home.signed_policy).value();
        std::vector<seal::Identity> owner_keys;
        owner_keys.push_back(test::identity_of(1));
        const std::vector<CameraId> cameras{home.front, home.yard};
        approval = approve({.request = trusted,
                            .policy = home.signed_policy,
                            .cameras = cameras,
                            .window = home.window,
                            .clips = bundles,
                            .identities = owner_keys,
                            .not_after = home.now + hours(24)},
                           home.owner)
                       .value();
        answer = sign_answer(decide_answer({.policy = home.policy,
                                            .who = &home.policy.requesters.front(),
                                            .request = taken.made.request.request,
                                            .request_hash = taken.made.request.hash,
                                            .received = home.now,
                                            .clips = {},
                                            .hub_secret = home.hub_seed.view()}),
                             home.hub);
        keys.push_back(test::identity_of(2));
    }

    std::vector<ReleasePiece> pieces_of(std::size_t clip) {
        const auto headers = split_headers(approval.headers, approval.grant.grant).value();
        std::size_t next = clip == 0 ? 0 : clips[0].pieces.size();
        std::vector<ReleasePiece> out;
        const std::string path = "clips/" + std::to_string(clip);
        Bytes file{0xEE, 0xEE};
        for (const auto& p : clips[clip].pieces) {
            ReleasePiece r{
                .identity = p.identity_bytes,
                .original_header = Bytes(
                    p.age.begin(), p.age.begin() + static_cast<std::ptrdiff_t>(p.age_header_size)),
                .new_header = Bytes(headers[next].begin(), headers[next].end()),
                .recorded_sha256 = sha256(p.age),
                .file = path,
                .payload_offset = file.size() + p.age_header_size,
                .payload_size = p.age.size() - p.age_header_size};
            file.insert(file.end(), p.age.begin(), p.age.end());
            out.push_back(std::move(r));
            ++next;
        }
        fs.put(path, std::move(file));
        return out;
    }

    // The release file after `change` had its way with the pieces of each clip.
    template <typename F>
    Bytes stream_with(F&& change) {
        ReleaseLayout layout(taken.made.request.bytes, answer, approval.grant.bytes);
        for (std::size_t c = 0; c < clips.size(); ++c) {
            auto pieces = pieces_of(c);
            Bytes header = clips[c].header_bytes;
            change(c, header, pieces);
            layout.begin_clip(header);
            for (const ReleasePiece& p : pieces) layout.add_piece(p);
        }
        layout.finish();
        Bytes out;
        for (std::uint64_t part = 0; part < layout.parts(); ++part) {
            const Bytes bytes = layout.read_part(fs, part).value();
            out.insert(out.end(), bytes.begin(), bytes.end());
        }
        REQUIRE(out.size() == layout.total());
        CHECK(layout.read_part(fs, layout.parts()).error().code == ErrorCode::not_found);
        return out;
    }
    Bytes stream() {
        return stream_with([](std::size_t, Bytes&, std::vector<ReleasePiece>&) {});
    }

    ReleaseTrust trust() const {
        return {.granters = {home.owner.key()},
                .hub = home.hub.key(),
                .request_note = taken.made.request.bytes,
                .identities = keys};
    }
    Result<ReleaseSummary> read(const Bytes& bytes, ReleaseTrust with, std::size_t step = 4096,
                                Bytes* plain = nullptr) const {
        ReleaseReader reader(std::move(with), {}, [&](const VerifiedPiece& p) -> Result<void> {
            if (plain != nullptr) plain->insert(plain->end(), p.plain.begin(), p.plain.end());
            return {};
        });
        for (std::size_t at = 0; at < bytes.size(); at += step)
            HD_TRY(reader.feed(ByteView(bytes).subspan(at, std::min(step, bytes.size() - at))));
        return reader.finish();
    }
    Result<ReleaseSummary> read(const Bytes& bytes) const { return read(bytes, trust()); }
    Bytes expected_plain() const {
        Bytes out;
        for (const auto& c : clips)
            for (const auto& p : c.pieces) out.insert(out.end(), p.plain.begin(), p.plain.end());
        return out;
    }
};

using Pieces = std::vector<ReleasePiece>;

}  // namespace

TEST_SUITE("gateway/consent/release") {
    TEST_CASE("a release arrives whole in portions of any size") {
        Scene s;
        const Bytes stream = s.stream();
        for (const std::size_t step : {std::size_t{1}, std::size_t{977}, std::size_t{1} << 20}) {
            CAPTURE(step);
            Bytes plain;
            const auto summary = s.read(stream, s.trust(), step, &plain);
            REQUIRE(summary.ok());
            CHECK(plain == s.expected_plain());
            CHECK(summary->clips == 2);
            CHECK(summary->pieces == 12);
            CHECK(summary->frames == 250);
            CHECK(summary->video_bytes == plain.size());
            CHECK(summary->granter == s.home.owner.key().name);
            REQUIRE(summary->spans.size() == 2);
            CHECK(summary->spans[0].second ==
                  TimeSpan{s.home.window.begin, s.home.window.begin + seconds(6)});
        }
    }

    TEST_CASE("a release cut anywhere is not accepted") {
        Scene s;
        const Bytes stream = s.stream();
        for (std::size_t size = 0; size < stream.size(); size += 997)
            CHECK_FALSE(
                s.read(Bytes(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size)))
                    .ok());
        Bytes longer = stream;
        longer.push_back(0);
        CHECK_FALSE(s.read(longer).ok());
    }

    TEST_CASE("a flipped bit anywhere behind the notes is noticed") {
        Scene s;
        const Bytes stream = s.stream();
        const std::size_t notes = 20 + 1 + 12 + s.taken.made.request.bytes.size() +
                                  s.answer.size() + s.approval.grant.bytes.size();
        for (std::size_t i = notes; i < stream.size(); i += 3) {
            Bytes bad = stream;
            bad[i] ^= static_cast<std::uint8_t>(1u << (i % 8));
            CAPTURE(i - notes);
            CHECK_FALSE(s.read(bad).ok());
        }
        for (std::size_t i = 0; i < notes; i += 211) {
            Bytes bad = stream;
            bad[i] ^= 0x01;
            CAPTURE(i);
            CHECK_FALSE(s.read(bad).ok());
        }
    }

    TEST_CASE("dropped, repeated, swapped and foreign pieces are refused") {
        Scene s;
        const auto refused = [&](auto change) { return !s.read(s.stream_with(change)).ok(); };
        CHECK(refused([](std::size_t c, Bytes&, Pieces& p) {
            if (c == 0) p.pop_back();
        }));
        CHECK(refused([](std::size_t c, Bytes&, Pieces& p) {
            if (c == 0) p.erase(p.begin());
        }));
        CHECK(refused([](std::size_t c, Bytes&, Pieces& p) {
            if (c == 0) p.erase(p.begin() + 3);
        }));
        CHECK(refused([](std::size_t c, Bytes&, Pieces& p) {
            if (c == 1) p.push_back(p.back());
        }));
        CHECK(refused([](std::size_t, Bytes&, Pieces& p) { std::swap(p[2], p[3]); }));
        CHECK(refused(
            [](std::size_t, Bytes&, Pieces& p) { std::swap(p[2].identity, p[3].identity); }));
        CHECK(refused(
            [](std::size_t, Bytes&, Pieces& p) { std::swap(p[2].new_header, p[3].new_header); }));
        CHECK(refused([](std::size_t, Bytes&, Pieces& p) {
            std::swap(p[2].original_header, p[3].original_header);
        }));
        CHECK(refused([](std::size_t, Bytes&, Pieces& p) {
            std::swap(p[2].payload_offset, p[3].payload_offset);
        }));
        CHECK(refused([](std::size_t, Bytes&, Pieces& p) { p[2].recorded_sha256[0] ^= 1; }));
        CHECK(refused([&](std::size_t c, Bytes& header, Pieces&) {
            if (c == 0) header = s.clips[1].header_bytes;
        }));
        CHECK(refused([](std::size_t, Bytes&, Pieces& p) {
            p[2].original_header = p[2].new_header;  // the owner's stanza taken away
        }));
        CHECK_FALSE(refused([](std::size_t, Bytes&, Pieces&) {}));
    }

    TEST_CASE("a payload made to open as another video under the released key is refused") {
        Scene s;
        // Whoever holds a file key can seal another payload under it; the recorded hash covers it.
        Pieces pieces = s.pieces_of(0);
        const auto opened = seal::open_header(pieces[3].new_header, s.keys).value();
        Bytes other_file = pieces[3].new_header;
        const auto key = opened.key.clone();
        const std::array<std::uint8_t, 16> nonce{};
        Secret<32> payload_key;
        hkdf_sha256(key.view(), nonce, as_bytes("payload"), payload_key.mut());
        std::array<std::uint8_t, 12> last{};
        last[11] = 1;
        const std::string forged = "forged video";
        Bytes payload(nonce.begin(), nonce.end());
        payload.resize(16 + forged.size() + 16);
        chacha_seal(payload_key, last, as_bytes(forged), std::span(payload).subspan(16));
        Bytes plain;
        REQUIRE(seal::open_payload(key, payload, plain).ok());  // age itself would take it
        s.fs.put("forged", payload);
        const auto stream = s.stream_with([&](std::size_t c, Bytes&, Pieces& p) {
            if (c != 0) return;
            p[3].file = "forged";
            p[3].payload_offset = 0;
            p[3].payload_size = payload.size();
        });
        const auto result = s.read(stream);
        REQUIRE_FALSE(result.ok());
        CHECK(result.error().what.find("SHA-256") != std::string::npos);
    }

    TEST_CASE("only the right request, hub, granter and key are believed") {
        Scene s;
        const Bytes stream = s.stream();
        const auto refused = [&](auto change) {
            ReleaseTrust t = s.trust();
            change(t);
            return !s.read(stream, std::move(t)).ok();
        };
        CHECK_FALSE(refused([](ReleaseTrust&) {}));
        CHECK(refused([&](ReleaseTrust& t) { t.request_note = s.home.ask().request.bytes; }));
        CHECK(refused([&](ReleaseTrust& t) { t.hub = s.home.owner.key(); }));
        CHECK(refused([&](ReleaseTrust& t) { t.granters = {s.home.approver.key()}; }));
        CHECK(refused([&](ReleaseTrust& t) { t.granters.clear(); }));
        CHECK_FALSE(refused([&](ReleaseTrust& t) {
            t.granters = {s.home.approver.key(), s.home.owner.key()};
        }));
        std::vector<seal::Identity> other;
        other.push_back(test::identity_of(4));
        CHECK(refused([&](ReleaseTrust& t) { t.identities = other; }));
    }

    TEST_CASE("parts are read across memory and files, one MiB each") {
        MemoryFileSystem fs;
        Bytes big(3 << 20);
        for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<std::uint8_t>(i * 7 >> 3);
        fs.put("big", big);
        ReleaseLayout layout("r", "a", "g");
        layout.begin_clip(Bytes(10, 1));
        for (int i = 0; i < 3; ++i)
            layout.add_piece({.identity = Bytes(5, 2),
                              .original_header = Bytes(6, 3),
                              .new_header = Bytes(7, 4),
                              .file = "big",
                              .payload_offset = static_cast<std::uint64_t>(i) << 20,
                              .payload_size = (1u << 20) - static_cast<unsigned>(i)});
        layout.finish();
        CHECK(layout.parts() == 4);
        Bytes all;
        for (std::uint64_t n = 0; n < layout.parts(); ++n) {
            const Bytes part = layout.read_part(fs, n).value();
            CHECK((n + 1 == layout.parts() || part.size() == kReleasePartBytes));
            all.insert(all.end(), part.begin(), part.end());
        }
        REQUIRE(all.size() == layout.total());
        // magic, notes record, clip record, then the head of the first piece.
        const std::size_t head = 20 + (1 + 3 * 5) + (1 + 4 + 10) + (1 + 9 + 10 + 11 + 32 + 8);
        CHECK(equal(ByteView(all).subspan(head, 1 << 20), ByteView(big).first(1 << 20)));
        CHECK(all[all.size() - 5] == 9);
        fs.put("big", Bytes(10));
        CHECK(layout.read_part(fs, 1).error().code == ErrorCode::corrupt);
    }

    TEST_CASE("the folder verifies again and each file in it is needed") {
        Scene s;
        MemoryFileSystem disk;
        auto writer = ReleaseFolderWriter::create(disk, "out/release").value();
        ReleaseReader reader(
            s.trust(), [&](auto r, auto a, auto g) { return writer.notes(r, a, g); },
            [&](const VerifiedPiece& p) { return writer.piece(p); });
        REQUIRE(reader.feed(s.stream()).ok());
        const auto summary = reader.finish();
        REQUIRE(summary.ok());
        REQUIRE(writer.finish(*summary).ok());
        CHECK_FALSE(ReleaseFolderWriter::create(disk, "out/release").ok());

        Bytes plain;
        const auto again = verify_release_folder(
            disk, "out/release", s.trust(), [&](const VerifiedPiece& p) -> Result<void> {
                plain.insert(plain.end(), p.plain.begin(), p.plain.end());
                return {};
            });
        REQUIRE(again.ok());
        CHECK(plain == s.expected_plain());
        CHECK(again->pieces == summary->pieces);

        std::size_t files = 0;
        for (const std::string& path : disk.paths()) {
            CAPTURE(path);
            ++files;
            const Bytes good = disk.read(path, 1 << 20).value();
            disk.flip_bit(path, good.size() / 2);
            CHECK_FALSE(verify_release_folder(disk, "out/release", s.trust(), {}).ok());
            disk.put(path, good);
        }
        CHECK(files == 5 + 2 + 3 * 12);
        CHECK(verify_release_folder(disk, "out/release", s.trust(), {}).ok());
        // What the page of commands would join with the rest, and what it would not.
        for (const char* stray : {"clip-0001/9999.age", "clip-0007/0001.age", "clip-0002/x"}) {
            CAPTURE(stray);
            const std::string path = join("out/release", stray);
            disk.put(path, Bytes(10));
            const auto seen = verify_release_folder(disk, "out/release", s.trust(), {});
            REQUIRE_FALSE(seen.ok());
            CHECK(seen.error().what.starts_with(stray));
            REQUIRE(disk.remove(path).ok());
        }
        disk.put("out/release/video.mp4", Bytes(10));
        CHECK(verify_release_folder(disk, "out/release", s.trust(), {}).ok());
    }

    TEST_CASE("a listing that leads out of the folder is refused") {
        Scene s;
        MemoryFileSystem disk;
        auto writer = ReleaseFolderWriter::create(disk, "r").value();
        ReleaseReader reader(
            s.trust(), [&](auto r, auto a, auto g) { return writer.notes(r, a, g); },
            [&](const VerifiedPiece& p) { return writer.piece(p); });
        REQUIRE(reader.feed(s.stream()).ok());
        REQUIRE(writer.finish(reader.finish().value()).ok());
        const Bytes listing = disk.read("r/release.txt", 1 << 20).value();
        const std::string text(as_text(listing));
        for (const std::string_view bad : {"../../../0000", "clip-0001/../0", "/etc/passwd0000"}) {
            std::string changed = text;
            changed.replace(changed.find("clip-0001/0000"), 14, bad);
            disk.put("r/release.txt", Bytes(changed.begin(), changed.end()));
            const auto result = verify_release_folder(disk, "r", s.trust(), {});
            REQUIRE_FALSE(result.ok());
            CHECK(result.error().what.find("must be name, kind") != std::string::npos);
        }
    }
}
