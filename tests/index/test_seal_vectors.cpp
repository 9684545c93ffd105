// The published age test files (C2SP/CCTV) and stock age, against index/seal.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include <doctest/doctest.h>

#include "index/base/encoding.hpp"
#include "index/base/files.hpp"
#include "index/seal/seal.hpp"
#include "tests/support/temp_folder.hpp"

#if HALFDOOR_TEST_ZLIB
#include <zlib.h>
#endif

using namespace hd;
using namespace hd::seal;

namespace {

std::string shared_folder() {
    const char* given = std::getenv("HALFDOOR_SHARED");
    return given != nullptr ? given : HALFDOOR_SHARED_DEFAULT;
}

struct Vector {
    std::map<std::string, std::string> fields;
    std::vector<std::string> identities;
    Bytes age;
    const std::string& expect() const { return fields.at("expect"); }
    bool has(const std::string& key) const { return fields.contains(key); }
};

#if HALFDOOR_TEST_ZLIB
Bytes inflated(ByteView in) {
    // The longest vector is 258 chunks.
    Bytes out(32 << 20);
    uLongf size = out.size();
    REQUIRE(::uncompress(out.data(), &size, in.data(), in.size()) == Z_OK);
    out.resize(size);
    return out;
}
#endif

Vector read_vector(const std::string& path) {
    const Bytes bytes = real_file_system().read(path, 64 << 20).value();
    std::string_view rest = as_text(bytes);
    Vector v;
    while (!rest.starts_with("\n")) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        const std::size_t colon = line.find(": ");
        const std::string key(line.substr(0, colon)), value(line.substr(colon + 2));
        if (key == "identity") v.identities.push_back(value);
        v.fields[key] = value;
        rest.remove_prefix(line.size() + 1);
    }
    const ByteView age = as_bytes(rest.substr(1));
    v.age.assign(age.begin(), age.end());
    return v;
}

// Why this reader leaves a vector out, or nothing.
std::optional<std::string> left_out(const Vector& v) {
    if (v.has("armored")) return "ASCII armour";
    if (v.has("passphrase")) return "scrypt";
    for (const std::string& id : v.identities)
        if (id.starts_with("AGE-SECRET-KEY-PQ-")) return "hybrid (post-quantum) key";
#if !HALFDOOR_TEST_ZLIB
    if (v.has("compressed")) return "zlib is not installed";
#endif
    return std::nullopt;
}

struct Outcome {
    std::string result;
    Bytes plain;
};

Outcome read_age(ByteView age, const std::vector<Identity>& identities) {
    const auto opened = open_header(age, identities);
    if (!opened) {
        if (opened.error().code == ErrorCode::refused) return {"no match", {}};
        return {
            opened.error().what.starts_with("age header MAC") ? "HMAC failure" : "header failure",
            {}};
    }
    Outcome out;
    const auto payload = open_payload(opened->key, age.subspan(opened->parsed.size), out.plain);
    out.result = payload.ok() ? "success" : "payload failure";
    // age counts the nonce as a part of the header.
    if (!payload && payload.error().what.starts_with("age payload nonce"))
        out.result = "header failure";
    return out;
}

bool installed(const std::string& program) {
    return std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0;
}
bool run(const std::string& command) {
    return std::system((command + " 2>/dev/null").c_str()) == 0;
}

}  // namespace

TEST_SUITE("index/seal/vectors") {
    TEST_CASE("every applicable published age vector has its expected outcome") {
        const std::string folder = shared_folder() + "/vectors/age";
        if (!std::filesystem::is_directory(folder)) {
            std::printf("SKIPPED: the age vectors are not in %s (set HALFDOOR_SHARED)\n",
                        folder.c_str());
            return;
        }
        std::map<std::string, std::set<std::string>> omitted;
        std::size_t passed = 0;
        for (const FileEntry& file : real_file_system().list(folder).value()) {
            CAPTURE(file.name);
            Vector v = read_vector(folder + "/" + file.name);
            if (const auto why = left_out(v)) {
                omitted[*why].insert(file.name);
                continue;
            }
#if HALFDOOR_TEST_ZLIB
            if (v.has("compressed")) v.age = inflated(v.age);
#endif
            std::vector<Identity> identities;
            for (const std::string& text : v.identities)
                identities.push_back(parse_identity(text).value());
            const Outcome outcome = read_age(v.age, identities);
            CHECK(outcome.result == v.expect());
            if (v.has("payload")) CHECK(to_hex(sha256(outcome.plain)) == v.fields.at("payload"));
            // Nothing may come out where the vector releases nothing.
            if (!v.has("payload")) CHECK(outcome.plain.empty());
            ++passed;
        }
        std::printf("age vectors: %zu read\n", passed);
        for (const auto& [why, names] : omitted) {
            std::printf("age vectors left out, %s: %zu:", why.c_str(), names.size());
            for (const std::string& name : names) std::printf(" %s", name.c_str());
            std::printf("\n");
        }
        CHECK(passed >= 60);
    }

    TEST_CASE("stock age and ours open each other's files") {
        if (!installed("age") || !installed("age-keygen")) {
            std::printf("SKIPPED: the programs age and age-keygen are not installed (apt: age)\n");
            return;
        }
        const test::TempFolder folder;
        const std::string key = folder.path("key.txt"), file = folder.path("file.age"),
                          plain = folder.path("plain");
        REQUIRE(run("age-keygen -o " + key));
        const auto theirs = read_key_file(real_file_system(), key);
        REQUIRE(theirs.ok());
        for (const std::size_t size :
             {std::size_t{0}, std::size_t{5}, kChunkBytes, 3 * kChunkBytes + 1}) {
            CAPTURE(size);
            Bytes bytes(size);
            random_bytes(bytes);
            // Ours, with a stanza that age does not know, opened by age with its own key file.
            const std::vector<Stanza> extra{{"halfdoor-piece", {}, Bytes(32, 1)}};
            const Bytes ours = seal::seal(bytes, {{theirs->at(0).recipient}}, extra).value();
            REQUIRE(write_file_atomic(file, ours, 0600).ok());
            // Not with -o: age opens that file only when it has something to write.
            REQUIRE(run("age -d -i " + key + " " + file + " > " + plain));
            CHECK(real_file_system().read(plain, 1 << 20).value() == bytes);
            // Sealed by age for two, opened by ours.
            REQUIRE(write_file_atomic(plain, bytes, 0600).ok());
            const std::string second = to_string(generate_identity().recipient);
            REQUIRE(run("age -e -r " + second + " -r " + to_string(theirs->at(0).recipient) +
                        " -o " + file + " " + plain));
            const auto opened = seal::open(real_file_system().read(file, 1 << 20).value(), *theirs);
            REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? "" : opened.error().what));
            CHECK(*opened == bytes);
        }
    }

    TEST_CASE("stock age-keygen reads our key files and names the same recipient") {
        if (!installed("age-keygen")) {
            std::printf("SKIPPED: the program age-keygen is not installed (apt: age)\n");
            return;
        }
        const test::TempFolder folder;
        const Identity id = generate_identity();
        REQUIRE(write_key_file(folder.path("key"), id, {1'795'356'000'000'000}).ok());
        REQUIRE(run("age-keygen -y -o " + folder.path("public") + " " + folder.path("key")));
        const Bytes text = real_file_system().read(folder.path("public"), 1000).value();
        CHECK(as_text(text) == to_string(id.recipient) + "\n");
    }
}
