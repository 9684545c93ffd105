// Searches a process for anything that opens a sealed piece:  halfdoor-memscan PID CLIP...
//
// The process is stopped for the moment in which its writable memory is copied. Then every string
// in it is tried against pieces that are on the disk (the last ones of each clip, finished or not,
// and its init piece):
//   16 bytes: the file key? (the header's MAC verifies)
//   32 bytes: the wrap key, the X25519 shared secret, the payload key, the ephemeral secret, or an
//             identity of the --recipient?
// Tried is what has the look of random bytes, at addresses that are multiples of --stride (4).
// Secrets that take a scalar multiplication to try: at multiples of 16, where compilers put arrays
// of that size, and not in the midst of a large random block; with --deep at all multiples of 8.
//
// --hold KEYFILE CLIP... is the control: it holds the secrets of a piece, says "ready" and waits
// for the end of its standard input; scanned by another halfdoor-memscan they must be found.
// What stands in the clips given is not tried: sealed bytes that are still in a buffer.
// --text FILE... PID searches for the lines of the files instead, as they are.
//
// Exit: 0 nothing found, 1 found (kind and address are printed, never the bytes), 2 usage or I/O.
#include <algorithm>
#include <array>
#include <bitset>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#define OPENSSL_SUPPRESS_DEPRECATED  // EVP would take ten times as long for such short strings
#include <openssl/sha.h>
#include <sodium.h>

#include "index/base/encoding.hpp"
#include "index/base/files.hpp"
#include "index/clip/clip_reader.hpp"
#include "index/seal/age_header.hpp"
#include "index/seal/seal.hpp"

namespace {

using namespace hd;

constexpr std::size_t kLastPieces = 2;  // of each of the last clips, besides the init piece
constexpr std::size_t kLastClips = 2;

// What a stolen secret would have to fit.
struct Target {
    Bytes maced;      // the part of the age header that the MAC covers
    Digest mac{};     // of the file
    Bytes ephemeral;  // public share of the first X25519 stanza
    Bytes wrapped;    // its body
    Bytes nonce;      // of the payload
    Bytes begin;      // of its first chunk, sealed: a film's boxes, so 4 bytes are known
};

struct Block {
    std::uint64_t address = 0;
    Bytes bytes;
};

struct Scan {
    std::vector<std::pair<std::string, std::uint64_t>> found;
    std::uint64_t candidates = 0, bytes = 0;
};

// Of random strings one in 700 has fewer than 13 different bytes out of 16, and one in 10^5 so few
// or so many ones; pointers, text, zeros and most counters fail both.
bool looks_random(const std::uint8_t* p) {
    std::uint64_t words[2];
    std::memcpy(words, p, sizeof words);
    const int ones = __builtin_popcountll(words[0]) + __builtin_popcountll(words[1]);
    if (ones < 40 || ones > 88) return false;
    std::bitset<256> seen;
    for (int i = 0; i < 16; ++i) seen.set(p[i]);
    return seen.count() >= 13;
}

// In the midst of random bytes, as video and sealed bytes are: a key stands among zeros, pointers
// and small numbers, or beside one or two others.
bool in_bulk(const Bytes& block, std::size_t at) {
    constexpr std::size_t kAround = 128;
    if (at < kAround || at + 32 + kAround > block.size()) return false;
    for (std::size_t i = at - kAround; i < at + 32 + kAround; i += 16)
        if (!looks_random(block.data() + i)) return false;
    return true;
}

bool opens(const Secret<32>& key, const std::array<std::uint8_t, 12>& nonce, ByteView sealed) {
    Bytes out(sealed.size() - 16);
    return chacha_open(key, nonce, sealed, out);
}

Secret<32> as_secret(const std::uint8_t* p) {
    Secret<32> out;
    std::memcpy(out.mut().data(), p, 32);
    return out;
}

Digest fast_hmac(ByteView key, ByteView a, ByteView b = {}) {
    std::array<std::uint8_t, 64> pad{};
    Digest inner{}, out{};
    const auto keyed = [&](std::uint8_t with) {
        pad.fill(with);
        for (std::size_t i = 0; i < key.size(); ++i) pad[i] ^= key[i];
    };
    SHA256_CTX ctx;
    keyed(0x36);
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, pad.data(), pad.size());
    SHA256_Update(&ctx, a.data(), a.size());
    SHA256_Update(&ctx, b.data(), b.size());
    SHA256_Final(inner.data(), &ctx);
    keyed(0x5c);
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, pad.data(), pad.size());
    SHA256_Update(&ctx, inner.data(), inner.size());
    SHA256_Final(out.data(), &ctx);
    return out;
}

bool is_file_key(const std::uint8_t* p, const std::vector<Target>& targets, std::size_t& which) {
    // HKDF, one block.
    const Digest zero{};
    constexpr std::uint8_t kOne = 1;
    const Digest prk = fast_hmac(zero, ByteView(p, 16));
    const Digest mac_key = fast_hmac(prk, as_bytes("header"), ByteView(&kOne, 1));
    for (which = 0; which < targets.size(); ++which)
        if (fast_hmac(mac_key, targets[which].maced) == targets[which].mac) return true;
    return false;
}

// The payload key, by what every piece begins with: size and name of a box, "ftyp" or "moof".
bool is_payload_key(const std::uint8_t* p, const Target& t) {
    constexpr std::array<std::uint8_t, 12> kFirstChunk{};
    constexpr std::array<std::uint8_t, 12> kOnlyChunk{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    for (const auto& nonce : {kFirstChunk, kOnlyChunk}) {
        std::array<std::uint8_t, 8> plain{};
        crypto_stream_chacha20_ietf_xor_ic(plain.data(), t.begin.data(), plain.size(), nonce.data(),
                                           1, p);
        if (plain[0] != 0 || plain[1] != 0) continue;
        if (std::memcmp(plain.data() + 4, "ftyp", 4) == 0) return true;
        if (std::memcmp(plain.data() + 4, "moof", 4) == 0) return true;
    }
    return false;
}

std::optional<std::string> test_32(const std::uint8_t* p, const std::vector<Target>& targets) {
    const Secret<32> key = as_secret(p);
    for (const Target& t : targets) {
        if (opens(key, {}, t.wrapped)) return "wrap key";
        if (is_payload_key(p, t)) return "payload key";
    }
    return std::nullopt;
}

// Needs the recipient: the wrap key is salted with it.
std::optional<std::string> test_curve(const std::uint8_t* p, const std::vector<Target>& targets,
                                      const Bytes& recipient) {
    const auto public_half = x25519_public(as_secret(p));
    if (equal(public_half, recipient)) return "identity";
    for (const Target& t : targets) {
        if (equal(public_half, t.ephemeral)) return "ephemeral secret";
        if (recipient.empty()) continue;
        Bytes salt = t.ephemeral;
        salt.insert(salt.end(), recipient.begin(), recipient.end());
        Secret<32> wrap;
        hkdf_sha256(ByteView(p, 32), salt, as_bytes("age-encryption.org/v1/X25519"), wrap.mut());
        if (opens(wrap, {}, t.wrapped)) return "shared secret";
    }
    return std::nullopt;
}

std::optional<Target> make_target(const Bytes& age_file) {
    const auto parsed = seal::parse_header(age_file);
    if (!parsed) return std::nullopt;
    Target t;
    const ByteView file(age_file);
    const auto copy = [](ByteView v) { return Bytes(v.begin(), v.end()); };
    t.maced = copy(file.first(parsed->mac_covers));
    t.mac = parsed->header.mac;
    for (const seal::Stanza& s : parsed->header.stanzas) {
        if (s.type != "X25519" || !t.wrapped.empty()) continue;
        const auto share = from_base64(s.args.at(0), Padding::without);
        if (!share) return std::nullopt;
        t.ephemeral = *share;
        t.wrapped = s.body;
    }
    const ByteView payload = file.subspan(parsed->size);
    if (t.wrapped.size() != 32 || payload.size() < 32) return std::nullopt;
    t.nonce = copy(payload.first(16));
    t.begin = copy(payload.subspan(16, 8));
    return t;
}

// The age files to try: first and last ones of the newest clips.
std::vector<Bytes> pieces_of(std::span<const std::string> clips) {
    std::vector<Bytes> out;
    for (const std::string& path : clips.last(std::min(clips.size(), kLastClips))) {
        const auto reader = clip::ClipReader::open(real_file_system(), path);
        if (!reader) continue;
        const std::size_t all = reader->table().size();
        for (std::size_t i = 0; i < all; ++i) {
            if (i > 0 && i + kLastPieces < all) continue;
            auto piece = reader->read_piece(i);
            if (piece) out.push_back(std::move(piece->age_file));
        }
    }
    return out;
}

std::vector<Block> copy_memory(const std::string& pid) {
    std::vector<Block> out;
    std::ifstream maps("/proc/" + pid + "/maps");
    std::ifstream mem("/proc/" + pid + "/mem", std::ios::binary);
    for (std::string line; mem && std::getline(maps, line);) {
        std::uint64_t begin = 0, end = 0;
        char mode[5] = {};
        if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s", &begin, &end, mode) != 3)
            continue;
        if (mode[0] != 'r' || mode[1] != 'w') continue;
        Block block{begin, Bytes(end - begin)};
        mem.clear();
        mem.seekg(static_cast<std::streamoff>(begin));
        mem.read(reinterpret_cast<char*>(block.bytes.data()),
                 static_cast<std::streamsize>(block.bytes.size()));
        block.bytes.resize(static_cast<std::size_t>(mem.gcount()));
        mem.clear();
        if (!block.bytes.empty()) out.push_back(std::move(block));
    }
    return out;
}

// Every 8 bytes of the clips, sorted.
class Sealed {
  public:
    explicit Sealed(std::span<const std::string> clips) {
        for (const std::string& path : clips) {
            const auto bytes = real_file_system().read(path, 256 << 20);
            for (std::size_t i = 0; bytes && i + 8 <= bytes->size(); ++i)
                words_.push_back(word(bytes->data() + i));
        }
        std::sort(words_.begin(), words_.end());
    }
    bool has(const std::uint8_t* sixteen) const {
        return std::binary_search(words_.begin(), words_.end(), word(sixteen)) &&
               std::binary_search(words_.begin(), words_.end(), word(sixteen + 8));
    }

  private:
    static std::uint64_t word(const std::uint8_t* p) {
        std::uint64_t out = 0;
        std::memcpy(&out, p, sizeof out);
        return out;
    }
    std::vector<std::uint64_t> words_;
};

struct Options {
    std::size_t stride = 4;
    std::size_t curve_stride = 16;
    bool deep = false;
    Bytes recipient;
};

Scan scan(const std::vector<Block>& memory, const std::vector<Target>& targets,
          const Sealed& sealed, const Options& options) {
    Scan out;
    for (const Block& block : memory) {
        out.bytes += block.bytes.size();
        for (std::size_t i = 0; i + 32 <= block.bytes.size(); i += options.stride) {
            const std::uint8_t* p = block.bytes.data() + i;
            if (!looks_random(p) || sealed.has(p)) continue;
            ++out.candidates;
            const std::uint64_t address = block.address + i;
            std::size_t which = 0;
            if (is_file_key(p, targets, which)) out.found.emplace_back("file key", address);
            if (!looks_random(p + 16)) continue;
            if (auto kind = test_32(p, targets)) out.found.emplace_back(*kind, address);
            if (address % options.curve_stride != 0) continue;
            if (!options.deep && in_bulk(block.bytes, i)) continue;
            if (auto kind = test_curve(p, targets, options.recipient))
                out.found.emplace_back(*kind, address);
        }
    }
    return out;
}

int report(const Scan& scan, std::size_t targets) {
    for (const auto& [kind, address] : scan.found)
        std::printf("FOUND %s at %#" PRIx64 "\n", kind.c_str(), address);
    std::printf("memscan: %" PRIu64 " bytes, %" PRIu64 " candidates, %zu targets, %zu found\n",
                scan.bytes, scan.candidates, targets, scan.found.size());
    return scan.found.empty() ? 0 : 1;
}

int search_keys(const std::string& pid, std::span<const std::string> clips,
                const Options& options) {
    const int number = std::atoi(pid.c_str());
    // Stopped, so that "sealed before" and "in memory now" mean the same moment.
    if (number < 2 || ::kill(number, SIGSTOP) != 0) {
        std::fprintf(stderr, "memscan: cannot stop process %s\n", pid.c_str());
        return 2;
    }
    const std::vector<Bytes> pieces = pieces_of(clips);
    const std::vector<Block> memory = copy_memory(pid);
    ::kill(number, SIGCONT);
    std::vector<Target> targets;
    for (const Bytes& piece : pieces)
        if (auto target = make_target(piece)) targets.push_back(std::move(*target));
    if (memory.empty() || targets.empty()) {
        std::fprintf(stderr, "memscan: %s\n",
                     memory.empty() ? "the memory cannot be read" : "no clip has a piece to try");
        return 2;
    }
    return report(scan(memory, targets, Sealed(clips), options), targets.size());
}

int search_lines(const std::string& pid, const std::vector<std::string>& files) {
    std::vector<std::string> lines;
    for (const std::string& path : files) {
        std::ifstream in(path);
        for (std::string line; std::getline(in, line);)
            if (line.size() >= 8) lines.push_back(line);
    }
    const std::vector<Block> memory = copy_memory(pid);
    if (memory.empty() || lines.empty()) return 2;
    Scan out;
    for (const Block& block : memory) {
        out.bytes += block.bytes.size();
        for (std::size_t n = 0; n < lines.size(); ++n) {
            const auto at = std::search(block.bytes.begin(), block.bytes.end(), lines[n].begin(),
                                        lines[n].end());
            if (at != block.bytes.end())
                out.found.emplace_back(
                    "line " + std::to_string(n + 1),
                    block.address + static_cast<std::uint64_t>(at - block.bytes.begin()));
        }
    }
    return report(out, lines.size());
}

// The secrets of the last piece of the first clip, each in an allocation of its own.
int hold(const std::string& key_file, std::span<const std::string> clips) {
    const auto identities = seal::read_key_file(real_file_system(), key_file);
    const std::vector<Bytes> pieces = pieces_of(clips);
    if (!identities || pieces.empty()) return 2;
    const auto opened = seal::open_header(pieces.back(), *identities);
    const auto target = make_target(pieces.back());
    if (!opened || !target) return 2;
    const seal::Identity& who = identities->front();
    const auto shared = x25519_shared(who.secret, target->ephemeral);
    if (!shared) return 2;
    Bytes salt = target->ephemeral;
    salt.insert(salt.end(), who.recipient.begin(), who.recipient.end());
    const auto file_key =
        std::make_unique<Bytes>(opened->key.view().begin(), opened->key.view().end());
    const auto shared_key = std::make_unique<Bytes>(shared->view().begin(), shared->view().end());
    const auto wrap = std::make_unique<std::array<std::uint8_t, 32>>();
    hkdf_sha256(*shared_key, salt, as_bytes("age-encryption.org/v1/X25519"), *wrap);
    const auto payload = std::make_unique<std::array<std::uint8_t, 32>>();
    hkdf_sha256(*file_key, target->nonce, as_bytes("payload"), *payload);
    std::puts("ready");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
    return static_cast<int>((*file_key)[0] + (*wrap)[0] + (*payload)[0] + (*shared_key)[0]) & 0;
}

int usage(const char* name) {
    std::fprintf(stderr,
                 "usage: %s [--stride N] [--deep] [--recipient age1...] PID CLIP...\n"
                 "       %s --hold KEYFILE CLIP...\n       %s --text FILE... PID\n",
                 name, name, name);
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    bool holds = false, text = false;
    std::vector<std::string> plain;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument == "--stride" && i + 1 < argc) {
            options.stride = std::strtoul(argv[++i], nullptr, 10);
        } else if (argument == "--deep") {
            options.curve_stride = 8;
            options.deep = true;
        } else if (argument == "--recipient" && i + 1 < argc) {
            const auto key = seal::parse_recipient(argv[++i]);
            if (!key) return usage(argv[0]);
            options.recipient.assign(key->begin(), key->end());
        } else if (argument == "--hold") {
            holds = true;
        } else if (argument == "--text") {
            text = true;
        } else {
            plain.push_back(argument);
        }
    }
    if (plain.size() < 2 || options.stride == 0) return usage(argv[0]);
    const std::span<const std::string> clips = std::span(plain).subspan(1);
    if (holds) return hold(plain[0], clips);
    if (text) return search_lines(plain.back(), {plain.begin(), plain.end() - 1});
    return search_keys(plain[0], clips, options);
}
