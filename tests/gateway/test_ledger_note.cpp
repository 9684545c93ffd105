#include <cstdio>
#include <cstdlib>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "gateway/ledger/note.hpp"
#include "index/base/encoding.hpp"
#include "index/base/files.hpp"

using namespace hd;
using namespace hd::ledger;

namespace {

constexpr std::string_view kDash = "\xE2\x80\x94 ";

// The key pair of the project's own vectors: seed 00 01 ... 1f.
NoteSigner vector_signer() {
    Secret<32> seed;
    for (std::size_t i = 0; i < 32; ++i) seed.mut()[i] = static_cast<std::uint8_t>(i);
    return {"hub.example/requests", SigningKey::from_seed(seed)};
}

std::string checkpoint(std::string_view size, std::string_view root) {
    return fmt::format("hub.example/requests\n{}\n{}\n", size, root);
}

std::string signed_text(std::string_view text) { return sign_note(text, vector_signer()); }

std::string error_of(std::string_view note) {
    const auto parsed = parse_note(note);
    return parsed ? "accepted" : parsed.error().what;
}

}  // namespace

TEST_SUITE("gateway/ledger/note") {
    TEST_CASE("the verifier key of the signed-note specification parses and prints") {
        const std::string text =
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        const auto key = parse_vkey(text);
        REQUIRE(key.ok());
        CHECK(key->name == "example.com/foo");
        CHECK(key_id(*key) == 0x530d903a);
        CHECK(to_vkey(*key) == text);
    }

    TEST_CASE("the note of the Go project's example verifies") {
        const auto key =
            parse_vkey("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
        REQUIRE(key.ok());
        const std::string note =
            "If you think cryptography is the answer to your problem,\n"
            "then you don't know what your problem is.\n"
            "\n" +
            std::string(kDash) +
            "PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdng"
            "otpRZb6KE6RyyBwJnAM=\n";
        const auto parsed = parse_note(note);
        REQUIRE(parsed.ok());
        CHECK(verify_single(*parsed, *key).ok());
        CHECK(to_string(*parsed) == note);
    }

    TEST_CASE("we sign the project's vectors byte for byte, as Go's sumdb code accepted them") {
        const NoteSigner signer = vector_signer();
        CHECK(to_vkey(signer.key()) ==
              "hub.example/requests+84c629bd+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4");
        const struct {
            std::string_view size, root, signature;
        } vectors[] = {
            {"1", "QHZrIDNCkCb1PVRQJnmoOXBrR0H43K86i7pfQbX/4HU=",
             "hMYpvUJFdaNzXXQwlKEvAtOBp+zIrPmXB28c0fBWc/Aj29odIbvT3gZNJKvJtBUan+dSF/"
             "2kxznKvssM5XaxuOtKhgQ="},
            {"3", "pkvybgkSj2/i/m+LLYyAHhZrV8BHp82bK4Ceepai8cs=",
             "hMYpvR0xfjMLsCybW2yR4lJRGG+hkALPynWSx110uXhCHb6K+kqlpJM2KtvKAmeFXYzL69fqLtZn4n9FozeU"
             "wfp+MgE="},
            {"70000", "pipUvjMpT/1aXExjf9dUYwtxqJLoNW46Zmpcin/9FRg=",
             "hMYpvd4xTf1wVlm0PZ7p0+nKqbCVD8Qf7uchDiQqSoYPx2JTu1EyiapY60UuWaxWMW7hq/wol5FbMzS2qr+T"
             "19jVzw0="}};
        for (const auto& v : vectors) {
            const std::string text = checkpoint(v.size, v.root);
            CHECK(sign_note(text, signer) ==
                  fmt::format("{}\n{}hub.example/requests {}\n", text, kDash, v.signature));
        }
    }

    TEST_CASE("every checkpoint of the published log verifies") {
        const char* given = std::getenv("HALFDOOR_SHARED");
        const std::string shared = given != nullptr ? given : HALFDOOR_SHARED_DEFAULT;
        const std::string folder = shared + "/vectors/tlog/log";
        if (!real_file_system().exists(folder)) {
            std::printf("SKIPPED: the log vectors are not in %s (set HALFDOOR_SHARED)\n",
                        folder.c_str());
            return;
        }
        const auto key = parse_vkey(
            "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx");
        REQUIRE(key.ok());
        for (int i = 0; i <= 15; ++i) {
            CAPTURE(i);
            const auto bytes =
                real_file_system().read(fmt::format("{}/checkpoint.{}", folder, i), kMaxNoteBytes);
            REQUIRE(bytes.ok());
            const auto note = parse_note(as_text(*bytes));
            REQUIRE(note.ok());
            CHECK(verify_single(*note, *key).ok());
            CHECK(note->text.starts_with(fmt::format("example.com/log/testdata\n{}\n", i)));
        }
    }

    TEST_CASE("a note is split at its last empty line") {
        const std::string note = signed_text("one\n\ntwo\n");
        const auto parsed = parse_note(note);
        REQUIRE(parsed.ok());
        CHECK(parsed->text == "one\n\ntwo\n");
        CHECK(verify_single(*parsed, vector_signer().key()).ok());
    }

    TEST_CASE("text that is not UTF-8 or holds control characters is refused") {
        const std::string good = signed_text("text \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80\n");
        CHECK(error_of(good) == "accepted");
        const std::string line = good.substr(good.find("\n\n"));
        for (const std::string_view bad :
             {"\x80", "\xC3", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
              "\xF8\x88\x80\x80", "a\xFF"}) {
            CAPTURE(to_hex(as_bytes(bad)));
            CHECK(error_of(std::string(bad) + line).find("not UTF-8") != std::string::npos);
        }
        for (const char c : {'\r', '\t', '\0', '\x1b'}) {
            CAPTURE(static_cast<int>(c));
            CHECK(error_of(std::string(1, c) + line).find("control character") !=
                  std::string::npos);
        }
    }

    TEST_CASE("each broken signature line is refused with its number") {
        const std::string head = "text\n\n";
        const std::string sig = to_base64(Bytes(68, 7), Padding::with);
        const std::string fine = fmt::format("{}a {}\n", kDash, sig);
        CHECK(error_of(head + fine) == "accepted");
        CHECK(error_of("text\n") == "note: no empty line before the signatures");
        CHECK(error_of(head) == "note: no signature line");
        CHECK(error_of(head + fine.substr(0, fine.size() - 1)) ==
              "note: the last line must end in a newline");
        CHECK(error_of(head + fine + "\n" + fine) == "accepted");  // the last empty line counts
        for (const std::string& line :
             {"- a " + sig, std::string(kDash) + "a", std::string(kDash) + " " + sig,
              std::string(kDash) + "a+b " + sig, std::string(kDash) + "a\xC2\xA0" + "b " + sig,
              std::string(kDash) + "a  " + sig, std::string(kDash) + "a AAAA",
              std::string(kDash) + "a " + sig + "=", std::string(kDash) + "a " + sig + " "}) {
            CAPTURE(line);
            CHECK(error_of(head + fine + line + "\n").starts_with("note: signature line 2:"));
        }
    }

    TEST_CASE("sixteen signatures are read and seventeen are not") {
        const std::string line =
            fmt::format("{}a {}\n", kDash, to_base64(Bytes(8, 1), Padding::with));
        std::string note = "text\n\n";
        for (int i = 0; i < 16; ++i) note += line;
        CHECK(error_of(note) == "accepted");
        CHECK(error_of(note + line) == "note: more than 16 signatures");
    }

    TEST_CASE("unknown keys are ignored, a known key's wrong signature refuses the note") {
        const NoteSigner a = vector_signer();
        Secret<32> seed;
        seed.mut()[0] = 1;
        const NoteSigner b("other.example", SigningKey::from_seed(seed));
        Note note{"text\n", {}};
        note.signatures = {a.sign(note.text), b.sign(note.text)};
        const std::vector<NoteKey> only_a{a.key()};
        const std::vector<NoteKey> both{b.key(), a.key()};
        CHECK(verify_note(note, only_a).value() == std::vector<std::size_t>{0});
        CHECK(verify_note(note, both).value() == std::vector<std::size_t>{1, 0});
        CHECK(verify_single(note, a.key()).error().code == ErrorCode::refused);
        note.signatures[1].signature[5] ^= 1;
        CHECK(verify_note(note, only_a).ok());
        CHECK(verify_note(note, both).error().code == ErrorCode::refused);
        note.signatures.erase(note.signatures.begin());
        CHECK(verify_note(note, only_a).error().what == "note: no signature by a known key");
    }

    TEST_CASE("any flipped bit of a signed note is noticed") {
        const std::string note = signed_text("halfdoor\nvalue 1\n");
        const NoteKey key = vector_signer().key();
        std::size_t refused = 0;
        for (std::size_t i = 0; i < note.size() * 8; ++i) {
            std::string bad = note;
            bad[i / 8] = static_cast<char>(bad[i / 8] ^ (1 << i % 8));
            const auto parsed = parse_note(bad);
            if (!parsed || !verify_single(*parsed, key)) ++refused;
        }
        CHECK(refused == note.size() * 8);
    }

    TEST_CASE("a verifier key with a wrong part is refused") {
        const std::string good = to_vkey(vector_signer().key());
        CHECK(parse_vkey(good).ok());
        for (const std::string& bad :
             {std::string(), std::string("name"), good.substr(1), good + "A", "x" + good,
              std::string("a+84c629bd"),
              std::string(
                  "hub.example/requests+84c629bd+AgOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"),
              std::string(
                  "hub.example/requests+84C629BD+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4")}) {
            CAPTURE(bad);
            CHECK_FALSE(parse_vkey(bad).ok());
        }
    }
}
