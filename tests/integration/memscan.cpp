// Searches a process for anything that opens a closed piece: halfdoor-memscan PID CLIP...
//
// For each candidate in the writable memory of PID it asks, for some pieces of the clips given:
//   16 bytes: is it the file key? (does the header's MAC verify)
//   32 bytes: is it the wrap key, the X25519 shared secret, the ephemeral secret, or an identity?
// A candidate is a string with the look of random bytes; --stride says at which addresses it may
// begin (objects of 16 and more bytes are aligned to 16 by the ABI; 1 tries every address, slowly).
// --plant HEX puts a secret into this process and scans it: the control that shows the scan can
// find. Exit: 0 nothing found, 1 found (the kind and address are printed, never the bytes), 2 usage
// or I/O.
#include <array>
#include <bitset>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include <unistd.h>

#include "index/base/encoding.hpp"
#include "index/base/files.hpp"
#include "index/clip/clip_reader.hpp"
#include "index/seal/age_header.hpp"
#include "index/seal/seal.hpp"

namespace {

using namespace hd;

// What a stolen secret would have to fit.
struct Target {
    Bytes header;  // whole age header
    seal::ParsedHeader parsed;
    Bytes ephemeral;  // of the first X25519 stanza
    Bytes wrapped;    // its body
    Bytes recipient;  // unknown to the file: given by --recipient
};

struct Found {
    std::string kind;
    std::uint64_t address;
};

// Random 16 bytes have fewer than 13 different values once in 700 times; pointers, text and zeros
// do.
bool looks_random(const std::uint8_t* p) {
    std::bitset<256> seen;
    unsigned ones = 0;
    for (int i = 0; i < 16; ++i) {
        seen.set(p[i]);
        ones += static_cast<unsigned>(__builtin_popcount(p[i]));
    }
    return seen.count() >= 13 && ones > 38 && ones < 90;
}

bool unwraps(ByteView wrap_key, const Target& t) {
    Secret<32> key;
    std::copy(wrap_key.begin(), wrap_key.end(), key.mut().begin());
    std::array<std::uint8_t, 16> out{};
    return t.wrapped.size() == 32 && chacha_open(key, {}, t.wrapped, out);
}

bool shared_secret_unwraps(ByteView shared, const Target& t) {
    if (t.recipient.empty()) return false;
    Bytes salt = t.ephemeral;
    salt.insert(salt.end(), t.recipient.begin(), t.recipient.end());
    std::array<std::uint8_t, 32> wrap{};
    hkdf_sha256(shared, salt, as_bytes("age-encryption.org/v1/X25519"), wrap);
    return unwraps(wrap, t);
}

std::optional<std::string> test_16(const std::uint8_t* p, const std::vector<Target>& targets) {
    seal::FileKey key;
    std::memcpy(key.mut().data(), p, 16);
    for (const Target& t : targets)
        if (seal::verify_header_mac(t.header, t.parsed, key)) return "file key";
    return std::nullopt;
}

std::optional<std::string> test_32(const std::uint8_t* p, const std::vector<Target>& targets) {
    const ByteView bytes(p, 32);
    for (const Target& t : targets) {
        if (unwraps(bytes, t)) return "wrap key";
        if (shared_secret_unwraps(bytes, t)) return "shared secret";
    }
    // One scalar multiplication serves all targets: an identity's public half, or the ephemeral
    // share.
    Secret<32> scalar;
    std::memcpy(scalar.mut().data(), p, 32);
    const auto public_half = x25519_public(scalar);
    for (const Target& t : targets) {
        if (equal(public_half, t.ephemeral)) return "ephemeral secret";
        if (equal(public_half, t.recipient)) return "identity";
    }
    return std::nullopt;
}

std::vector<Target> load_targets(const std::vector<std::string>& clips, const Bytes& recipient) {
    std::vector<Target> out;
    for (const std::string& path : clips) {
        auto reader = clip::ClipReader::open(real_file_system(), path);
        if (!reader || reader->table().empty()) continue;
        auto piece = reader->read_piece(reader->table().size() / 2);
        if (!piece) continue;
        auto parsed = seal::parse_header(piece->age_file);
        if (!parsed) continue;
        Target t;
        t.header.assign(piece->age_file.begin(),
                        piece->age_file.begin() + static_cast<std::ptrdiff_t>(parsed->size));
        t.parsed = *parsed;
        for (const seal::Stanza& s : t.parsed.header.stanzas) {
            if (s.type != "X25519" || s.args.empty()) continue;
            auto share = from_base64(s.args[0], Padding::without);
            if (!share) continue;
            t.ephemeral = *share;
            t.wrapped = s.body;
            break;
        }
        t.recipient = recipient;
        out.push_back(std::move(t));
    }
    return out;
}

struct Mapping {
    std::uint64_t begin, end;
};

std::vector<Mapping> writable_mappings(const std::string& pid) {
    std::vector<Mapping> out;
    std::ifstream maps("/proc/" + pid + "/maps");
    for (std::string line; std::getline(maps, line);) {
        std::uint64_t begin = 0, end = 0;
        char mode[5] = {};
        if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s", &begin, &end, mode) != 3)
            continue;
        if (mode[0] == 'r' && mode[1] == 'w' && line.find("[vvar") == std::string::npos)
            out.push_back({begin, end});
    }
    return out;
}

struct Scan {
    std::vector<Found> found;
    std::uint64_t candidates = 0, bytes = 0;
};

void scan_block(const Bytes& block, std::uint64_t address, std::size_t stride,
                const std::vector<Target>& targets, std::unordered_set<std::string>& seen,
                Scan& scan) {
    for (std::size_t i = 0; i + 32 <= block.size(); i += stride) {
        const std::uint8_t* p = block.data() + i;
        if (!looks_random(p)) continue;
        if (!seen.emplace(reinterpret_cast<const char*>(p), 32).second) continue;
        ++scan.candidates;
        if (auto kind = test_16(p, targets)) scan.found.push_back({*kind, address + i});
        // A scalar multiplication costs 30 us: only where an object of 32 bytes can begin.
        if ((address + i) % 8 == 0 && looks_random(p + 16))
            if (auto kind = test_32(p, targets)) scan.found.push_back({*kind, address + i});
    }
}

int scan_process(const std::string& pid, std::size_t stride, const std::vector<Target>& targets) {
    std::ifstream mem("/proc/" + pid + "/mem", std::ios::binary);
    const auto mappings = writable_mappings(pid);
    if (!mem || mappings.empty()) {
        std::fprintf(stderr, "memscan: cannot read the memory of process %s\n", pid.c_str());
        return 2;
    }
    Scan scan;
    std::unordered_set<std::string> seen;
    for (const Mapping& m : mappings) {
        Bytes block(m.end - m.begin);
        mem.clear();
        mem.seekg(static_cast<std::streamoff>(m.begin));
        mem.read(reinterpret_cast<char*>(block.data()), static_cast<std::streamsize>(block.size()));
        block.resize(static_cast<std::size_t>(mem.gcount()));
        scan.bytes += block.size();
        scan_block(block, m.begin, stride, targets, seen, scan);
    }
    for (const Found& f : scan.found)
        std::printf("FOUND %s at %#" PRIx64 "\n", f.kind.c_str(), f.address);
    std::printf("memscan: %" PRIu64 " bytes, %" PRIu64 " candidates, %zu pieces, %zu found\n",
                scan.bytes, scan.candidates, targets.size(), scan.found.size());
    return scan.bytes > 0 && scan.found.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    std::size_t stride = 4;
    Bytes recipient, planted;
    std::vector<std::string> plain;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument == "--stride" && i + 1 < argc) {
            stride = std::stoul(argv[++i]);
        } else if (argument == "--recipient" && i + 1 < argc) {
            auto key = seal::parse_recipient(argv[++i]);
            if (!key) return 2;
            recipient.assign(key->begin(), key->end());
        } else if (argument == "--plant" && i + 1 < argc) {
            auto bytes = from_hex(argv[++i]);
            if (!bytes) return 2;
            planted = *bytes;
        } else {
            plain.push_back(argument);
        }
    }
    if (plain.size() < 2 || stride == 0) {
        std::fprintf(stderr,
                     "usage: %s [--stride N] [--recipient age1...] [--plant HEX] PID CLIP...\n",
                     argv[0]);
        return 2;
    }
    const auto targets = load_targets({plain.begin() + 1, plain.end()}, recipient);
    if (targets.empty()) {
        std::fprintf(stderr, "memscan: none of the clips has a piece to try\n");
        return 2;
    }
    if (plain[0] == "self") plain[0] = std::to_string(getpid());
    return scan_process(plain[0], stride, targets);
}
