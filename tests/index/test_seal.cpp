#include <algorithm>

#include <doctest/doctest.h>

#include "index/base/encoding.hpp"
#include "index/base/files.hpp"
#include "index/clip/clip_format.hpp"
#include "index/seal/piece_stanza.hpp"
#include "index/seal/seal.hpp"
#include "tests/support/temp_folder.hpp"

using namespace hd;
using namespace hd::seal;

namespace {

Bytes some_bytes(std::size_t size) {
    Bytes out(size);
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
    return out;
}

std::vector<Identity> one_identity() {
    std::vector<Identity> out;
    out.push_back(generate_identity());
    return out;
}

std::size_t count_stanzas(const AgeHeader& header, std::string_view type) {
    return static_cast<std::size_t>(std::count_if(header.stanzas.begin(), header.stanzas.end(),
                                                  [&](const Stanza& s) { return s.type == type; }));
}

clip::PieceIdentity identity_of(std::uint32_t sequence) {
    clip::PieceIdentity id;
    id.camera = random_id<CameraId>();
    id.clip = random_id<ClipId>();
    id.sequence = sequence;
    id.boot_end = {1'000'000};
    id.utc_begin = {1'795'356'000'000'000};
    id.utc_end = {1'795'356'001'000'000};
    id.frames = 25;
    return id;
}

}  // namespace

TEST_SUITE("index/seal") {
    TEST_CASE("what is sealed opens again at every chunk edge") {
        const auto ids = one_identity();
        for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kChunkBytes - 1, kChunkBytes,
                                       kChunkBytes + 1, 2 * kChunkBytes, std::size_t{250'000}}) {
            CAPTURE(size);
            const Bytes plain = some_bytes(size);
            const auto age = seal::seal(plain, {{ids[0].recipient}});
            REQUIRE(age.ok());
            const auto back = seal::open(*age, ids);
            REQUIRE(back.ok());
            CHECK(*back == plain);
        }
    }

    TEST_CASE("each of several recipients can open, another key cannot") {
        const auto a = one_identity(), b = one_identity(), stranger = one_identity();
        const std::vector<Recipient> recipients{a[0].recipient, b[0].recipient};
        const Bytes age = seal::seal(as_bytes("hello"), recipients).value();
        CHECK(as_text(seal::open(age, a).value()) == "hello");
        CHECK(as_text(seal::open(age, b).value()) == "hello");
        const auto shut = seal::open(age, stranger);
        REQUIRE_FALSE(shut.ok());
        CHECK(shut.error().code == ErrorCode::refused);
    }

    TEST_CASE("nothing is sealed for nobody or for a low-order point") {
        CHECK(seal::seal(as_bytes("x"), {}).error().code == ErrorCode::invalid);
        const std::vector<Recipient> low(1);
        CHECK(seal::seal(as_bytes("x"), low).error().code == ErrorCode::invalid);
    }

    TEST_CASE("the same bytes sealed twice have nothing in common") {
        const auto ids = one_identity();
        const std::vector<Recipient> to{ids[0].recipient};
        const Bytes a = seal::seal(some_bytes(64), to).value();
        const Bytes b = seal::seal(some_bytes(64), to).value();
        CHECK(a != b);
        const auto key_a = open_header(a, ids), key_b = open_header(b, ids);
        CHECK_FALSE(equal(key_a->key.view(), key_b->key.view()));
    }

    TEST_CASE("a flipped bit anywhere in the header is refused") {
        const auto ids = one_identity();
        const std::vector<Stanza> extra{make_piece_stanza(as_bytes("clip"), as_bytes("identity"))};
        const Bytes age = seal::seal(as_bytes("video"), {{ids[0].recipient}}, extra).value();
        const std::size_t header = parse_header(age)->size;
        for (std::size_t i = 0; i < header; ++i) {
            for (const std::uint8_t bit : {std::uint8_t{1}, std::uint8_t{0x20}}) {
                Bytes changed = age;
                changed[i] ^= bit;
                CAPTURE(i);
                CHECK_FALSE(seal::open(changed, ids).ok());
            }
        }
    }

    TEST_CASE("a flipped bit in the payload is refused and gives no plain bytes") {
        const auto ids = one_identity();
        const Bytes age = seal::seal(some_bytes(100), {{ids[0].recipient}}).value();
        for (std::size_t i = parse_header(age)->size; i < age.size(); ++i) {
            Bytes changed = age;
            changed[i] ^= 0x80;
            CHECK_FALSE(seal::open(changed, ids).ok());
        }
    }

    TEST_CASE("a replaced header opens the same payload for the new recipient alone") {
        const auto owner = one_identity(), requester = one_identity();
        const std::vector<Stanza> extra{make_piece_stanza(as_bytes("clip"), as_bytes("id"))};
        const Bytes plain = some_bytes(70'000);
        const Bytes age = seal::seal(plain, {{owner[0].recipient}}, extra).value();
        const OpenedHeader opened = open_header(age, owner).value();
        const ByteView payload = ByteView(age).subspan(opened.parsed.size);
        const Bytes old_header(age.begin(),
                               age.begin() + static_cast<std::ptrdiff_t>(opened.parsed.size));

        Bytes released = replace_header(old_header, opened.key, {{requester[0].recipient}}).value();
        const AgeHeader header = parse_header(released)->header;
        CHECK(count_stanzas(header, "X25519") == 1);
        CHECK(check_piece_stanza(header, as_bytes("clip"), as_bytes("id")).ok());
        released.insert(released.end(), payload.begin(), payload.end());
        CHECK(seal::open(released, requester).value() == plain);
        CHECK(seal::open(released, owner).error().code == ErrorCode::refused);

        // The requester, who now has the file key, can tell that the old header was its header.
        const OpenedHeader theirs = open_header(released, requester).value();
        CHECK(verify_header_mac(old_header, theirs.key).ok());
        Bytes other = old_header;
        other[other.size() / 2] ^= 1;
        CHECK_FALSE(verify_header_mac(other, theirs.key).ok());
        CHECK_FALSE(
            verify_header_mac(seal::seal(plain, {{owner[0].recipient}}).value(), theirs.key).ok());
    }

    TEST_CASE("a header is not replaced under another file key") {
        const auto ids = one_identity();
        const Bytes age = seal::seal(as_bytes("x"), {{ids[0].recipient}}).value();
        FileKey wrong;
        random_bytes(wrong.mut());
        const auto replaced = replace_header(age, wrong, {{ids[0].recipient}});
        REQUIRE_FALSE(replaced.ok());
        CHECK(replaced.error().what.starts_with("age header MAC"));
    }

    TEST_CASE("a second payload under an issued file key opens, and its hash gives it away") {
        // ChaCha20-Poly1305 does not commit to its key, and whoever was given the file key can seal
        // anything under it. So the clip records SHA-256 of the whole age file.
        const auto ids = one_identity();
        const Bytes age = seal::seal(as_bytes("what happened"), {{ids[0].recipient}}).value();
        const Digest recorded = sha256(age);
        const OpenedHeader opened = open_header(age, ids).value();
        Bytes forged(age.begin(), age.begin() + static_cast<std::ptrdiff_t>(opened.parsed.size));
        const Bytes nonce(16, 0x42);
        Secret<32> key;
        hkdf_sha256(opened.key.view(), nonce, as_bytes("payload"), key.mut());
        const std::string_view lie = "something else";
        Bytes sealed(lie.size() + 16);
        chacha_seal(key, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, as_bytes(lie), sealed);
        forged.insert(forged.end(), nonce.begin(), nonce.end());
        forged.insert(forged.end(), sealed.begin(), sealed.end());
        REQUIRE(as_text(seal::open(forged, ids).value()) == lie);
        CHECK(sha256(forged) != recorded);
    }

    TEST_CASE("a piece under another identity, without one or with two is refused") {
        const auto ids = one_identity();
        const std::vector<Recipient> to{ids[0].recipient};
        const Bytes clip_header = clip::encode_header({});
        const Bytes mine = clip::encode_identity(identity_of(3));
        const Bytes other = clip::encode_identity(identity_of(4));
        const Stanza stanza = make_piece_stanza(clip_header, mine);
        const auto check = [&](const std::vector<Stanza>& extra, ByteView header, ByteView id) {
            const Bytes age = seal::seal(as_bytes("video"), to, extra).value();
            const OpenedHeader opened = open_header(age, ids).value();
            return check_piece_stanza(opened.parsed.header, header, id);
        };
        CHECK(check({stanza}, clip_header, mine).ok());
        const auto refused = [](const Result<void>& r) {
            return !r.ok() && r.error().code == ErrorCode::refused;
        };
        CHECK(refused(check({stanza}, clip_header, other)));
        CHECK(refused(check({stanza}, mine, clip_header)));
        CHECK(refused(check({}, clip_header, mine)));
        CHECK(refused(check({stanza, stanza}, clip_header, mine)));
        Stanza with_argument = stanza;
        with_argument.args.push_back("x");
        CHECK(refused(check({with_argument}, clip_header, mine)));
        Stanza cut = stanza;
        cut.body.pop_back();
        CHECK(refused(check({cut}, clip_header, mine)));
        // Bytes that move from one part to the other do not give the same hash.
        Bytes longer = clip_header, shorter = mine;
        longer.push_back(shorter.front());
        shorter.erase(shorter.begin());
        CHECK(refused(check({stanza}, longer, shorter)));
    }

    TEST_CASE("a header serialises as it was parsed") {
        const auto ids = one_identity();
        FileKey key;
        random_bytes(key.mut());
        const std::vector<Stanza> stanzas{{"a", {}, {}},
                                          {"b", {"1", "~!"}, some_bytes(48)},
                                          {"c", {"x"}, some_bytes(49)},
                                          {"d", {}, some_bytes(96)}};
        const Bytes header = serialise_header(stanzas, key);
        const ParsedHeader parsed = parse_header(header).value();
        CHECK(parsed.header.stanzas == stanzas);
        CHECK(parsed.size == header.size());
        CHECK(serialise_header(parsed.header.stanzas, key) == header);
        CHECK(verify_header_mac(header, key).ok());
    }

    TEST_CASE("key text keeps its key, and a typing error does not pass") {
        const Identity id = generate_identity();
        const Secret<74> text = identity_text(id);
        CHECK(as_text(text.view()).starts_with("AGE-SECRET-KEY-1"));
        CHECK(equal(parse_identity(as_text(text.view()))->secret.view(), id.secret.view()));
        const std::string recipient = to_string(id.recipient);
        CHECK(recipient.size() == 62);
        CHECK(parse_recipient(recipient).value() == id.recipient);
        for (std::size_t i = 0; i < recipient.size(); ++i) {
            std::string typo = recipient;
            typo[i] = typo[i] == 'q' ? 'p' : 'q';
            CHECK_FALSE(parse_recipient(typo).ok());
        }
        std::string upper = recipient;
        std::transform(upper.begin(), upper.end(), upper.begin(),
                       [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
        CHECK_FALSE(parse_recipient(upper).ok());
        CHECK_FALSE(parse_recipient("").ok());
        CHECK_FALSE(parse_recipient(recipient + "q").ok());
    }

    TEST_CASE("an error about a secret key does not repeat it") {
        const Identity id = generate_identity();
        std::string text(as_text(identity_text(id).view()));
        const auto as_recipient = parse_recipient(text);
        CHECK(as_recipient.error().what.find(text.substr(20, 20)) == std::string::npos);
        text[40] = text[40] == 'Q' ? 'P' : 'Q';
        const auto broken = parse_key_file("# mine\n" + text + "\n");
        CHECK(broken.error().what.find(text.substr(20, 10)) == std::string::npos);
        CHECK(broken.error().what.find("line 2") != std::string::npos);
    }

    TEST_CASE("a key file is written once, for its owner's eyes, as age-keygen does") {
        const test::TempFolder folder;
        const std::string path = folder.path("key.txt");
        const Identity id = generate_identity();
        REQUIRE(write_key_file(path, id, {1'795'356'000'123'456}).ok());
        const Bytes text = real_file_system().read(path, 1000).value();
        CHECK(as_text(text).starts_with("# created: 2026-11-22T14:00:00Z\n# public key: age1"));
        const auto back = read_key_file(real_file_system(), path);
        REQUIRE(back.ok());
        CHECK(back->at(0).recipient == id.recipient);
        CHECK(write_key_file(path, id, {}).error().code == ErrorCode::invalid);
        CHECK(real_file_system().read(path, 1000).value() == text);
    }

    TEST_CASE("key files may have comments, empty lines, CRLF and several keys") {
        const Identity a = generate_identity(), b = generate_identity();
        const std::string text = "# a\r\n\r\n" + std::string(as_text(identity_text(a).view())) +
                                 "\r\n#\n" + std::string(as_text(identity_text(b).view()));
        const auto keys = parse_key_file(text);
        REQUIRE(keys.ok());
        CHECK(keys->size() == 2);
        CHECK(keys->at(1).recipient == b.recipient);
        CHECK_FALSE(parse_key_file("# nothing\n").ok());
        const auto locked = parse_key_file("age-encryption.org/v1\n-> scrypt x 18\n");
        CHECK(locked.error().what.find("age -d") != std::string::npos);
    }

    TEST_CASE("no cut header, whatever its length, is taken for a whole one") {
        const auto ids = one_identity();
        const Bytes age = seal::seal({}, {{ids[0].recipient}}).value();
        const std::size_t size = parse_header(age)->size;
        for (std::size_t i = 0; i < size; ++i) {
            const auto parsed = parse_header(ByteView(age).first(i));
            REQUIRE_FALSE(parsed.ok());
            CHECK(parsed.error().code == ErrorCode::corrupt);
        }
    }
}
