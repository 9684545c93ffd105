#include "index/seal/key_file.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace hd::seal {
namespace {

// Bech32 as BIP 173 has it, with the checksum constant 1 and without its 90 character limit.
constexpr std::string_view kBech32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
constexpr std::string_view kRecipientPrefix = "age";
constexpr std::string_view kIdentityPrefix = "age-secret-key-";
constexpr std::size_t kDataDigits = 52;  // 256 bits in groups of 5
constexpr std::size_t kChecksumDigits = 6;
constexpr std::size_t kMaxKeyFileBytes = 1 << 20;

class Checksum {
  public:
    explicit Checksum(std::string_view prefix) {
        for (const char c : prefix) add(static_cast<unsigned char>(c) >> 5u);
        add(0);
        for (const char c : prefix) add(static_cast<unsigned char>(c) & 31u);
    }
    void add(std::uint32_t digit) {
        constexpr std::array<std::uint32_t, 5> kGenerator{0x3b6a57b2, 0x26508e6d, 0x1ea119fa,
                                                          0x3d4233dd, 0x2a1462b3};
        const std::uint32_t top = state_ >> 25u;
        state_ = (state_ & 0x1ffffffu) << 5u ^ digit;
        for (unsigned i = 0; i < 5; ++i)
            if ((top >> i & 1u) != 0) state_ ^= kGenerator[i];
    }
    std::uint32_t state() const { return state_; }

  private:
    std::uint32_t state_ = 1;
};

// Writes prefix, '1', 52 digits and 6 checksum digits, all lowercase.
void bech32_write(std::string_view prefix, ByteView key, std::span<std::uint8_t> out) {
    HD_CHECK(key.size() == 32 && out.size() == prefix.size() + 1 + kDataDigits + kChecksumDigits);
    Checksum sum(prefix);
    std::size_t at = 0;
    for (const char c : prefix) out[at++] = static_cast<std::uint8_t>(c);
    out[at++] = '1';
    const auto put = [&](std::uint32_t digit) {
        out[at++] = static_cast<std::uint8_t>(kBech32[digit]);
    };
    std::uint32_t acc = 0;
    int bits = 0;
    const auto put_data = [&](std::uint32_t digit) {
        sum.add(digit);
        put(digit);
    };
    for (const std::uint8_t b : key) {
        acc = (acc << 8u | b) & 0xfffu;
        for (bits += 8; bits >= 5; bits -= 5) put_data(acc >> (bits - 5) & 31u);
    }
    if (bits > 0) put_data(acc << (5 - bits) & 31u);
    for (std::size_t i = 0; i < kChecksumDigits; ++i) sum.add(0);
    const std::uint32_t checksum = sum.state() ^ 1u;
    for (std::size_t i = 0; i < kChecksumDigits; ++i) put(checksum >> (5 * (5 - i)) & 31u);
}

// `text` must be all of one case. The rule that breaks, or empty: then `out` holds the key.
std::string_view bech32_read(std::string_view prefix, std::string_view text,
                             std::span<std::uint8_t> out) {
    if (text.size() != prefix.size() + 1 + kDataDigits + kChecksumDigits) return "wrong length";
    bool upper = false, lower = false;
    const auto lowered = [&](char c) {
        upper |= c >= 'A' && c <= 'Z';
        lower |= c >= 'a' && c <= 'z';
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    for (std::size_t i = 0; i < prefix.size(); ++i)
        if (lowered(text[i]) != prefix[i]) return "wrong prefix";
    if (text[prefix.size()] != '1') return "wrong prefix";
    Checksum sum(prefix);
    std::uint32_t acc = 0;
    int bits = 0;
    std::size_t have = 0;
    for (std::size_t i = prefix.size() + 1; i < text.size(); ++i) {
        const std::size_t digit = kBech32.find(lowered(text[i]));
        if (digit == std::string_view::npos) return "a character that bech32 does not have";
        sum.add(static_cast<std::uint32_t>(digit));
        if (i >= text.size() - kChecksumDigits) continue;
        acc = (acc << 5u | static_cast<std::uint32_t>(digit)) & 0xfffu;
        bits += 5;
        if (bits >= 8) {
            bits -= 8;
            out[have++] = static_cast<std::uint8_t>(acc >> bits & 255u);
        }
    }
    if (upper && lower) return "upper and lower case mixed";
    if (sum.state() != 1) return "checksum does not match (a typing error?)";
    if ((acc & ((1u << bits) - 1)) != 0) return "padding bits are not zero";
    return {};
}

std::string_view trimmed(std::string_view line) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
        line.remove_suffix(1);
    return line;
}

}  // namespace

Identity identity_from_secret(Secret<32> secret) {
    Identity id;
    id.secret = std::move(secret);
    id.recipient = x25519_public(id.secret);
    return id;
}

Identity generate_identity() {
    Secret<32> secret;
    random_bytes(secret.mut());
    return identity_from_secret(std::move(secret));
}

std::string to_string(const Recipient& recipient) {
    std::array<std::uint8_t, 62> text{};
    bech32_write(kRecipientPrefix, recipient, text);
    return std::string(as_text(text));
}

Result<Recipient> parse_recipient(std::string_view text) {
    if (text.starts_with("AGE-SECRET-KEY-"))
        return Error{ErrorCode::invalid,
                     "age recipient: this is a SECRET key; give its age1... "
                     "line (age-keygen -y prints it)"};
    Recipient out{};
    std::string_view rule = bech32_read(kRecipientPrefix, text, out);
    if (rule.empty() && text[0] != 'a') rule = "must be lowercase";
    if (!rule.empty())
        return Error{ErrorCode::invalid,
                     fmt::format("age recipient \"{}\": {}", text.substr(0, 80), rule)};
    return out;
}

Secret<74> identity_text(const Identity& identity) {
    Secret<74> out;
    bech32_write(kIdentityPrefix, identity.secret.view(), out.mut());
    for (std::uint8_t& c : out.mut())
        if (c >= 'a' && c <= 'z') c = static_cast<std::uint8_t>(c - 'a' + 'A');
    return out;
}

Result<Identity> parse_identity(std::string_view text) {
    if (text.starts_with("AGE-SECRET-KEY-PQ-1"))
        return Error{ErrorCode::invalid,
                     "age identity: post-quantum keys are not supported, use an X25519 key"};
    Secret<32> secret;
    std::string_view rule = bech32_read(kIdentityPrefix, text, secret.mut());
    if (rule.empty() && text[0] != 'A') rule = "must be uppercase";
    if (!rule.empty()) return Error{ErrorCode::invalid, fmt::format("age identity: {}", rule)};
    return identity_from_secret(std::move(secret));
}

Result<std::vector<Identity>> parse_key_file(std::string_view text) {
    if (text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE ENCRYPTED"))
        return Error{ErrorCode::invalid,
                     "key file: it is locked with a passphrase; open it first: age -d FILE"};
    std::vector<Identity> out;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::size_t end = text.find('\n');
        const std::string_view line = trimmed(text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        if (line.empty() || line.front() == '#') continue;
        auto identity = parse_identity(line);
        if (!identity) return identity.error().in(fmt::format("key file: line {}", number));
        out.push_back(std::move(*identity));
    }
    if (out.empty())
        return Error{ErrorCode::invalid, "key file: holds no AGE-SECRET-KEY-1... line"};
    return out;
}

Result<std::vector<Identity>> read_key_file(FileSystem& fs, const std::string& path) {
    HD_ASSIGN(Bytes text, fs.read(path, kMaxKeyFileBytes));
    auto out = parse_key_file(as_text(text));
    wipe(text);
    if (!out) return out.error().in(path);
    return out;
}

Result<void> write_key_file(const std::string& path, const Identity& identity, WallTime created) {
    // age-keygen gives no fraction of a second.
    const WallTime second{created.us - created.us % 1'000'000};
    const std::string head =
        fmt::format("# created: {}Z\n# public key: {}\n", to_rfc3339(second).substr(0, 19),
                    to_string(identity.recipient));
    const Secret<74> key = identity_text(identity);
    Bytes text;
    text.reserve(head.size() + key.size() + 1);  // no second copy left behind by growing
    const ByteView head_bytes = as_bytes(head);
    text.insert(text.end(), head_bytes.begin(), head_bytes.end());
    text.insert(text.end(), key.view().begin(), key.view().end());
    text.push_back('\n');
    // A claim on the name that fails if it exists; the atomic write then replaces our empty file.
    const Fd claim{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    const int err = errno;
    Result<void> done = claim ? write_file_atomic(path, text, 0600)
                              : Result<void>(errno_error(err, "create key file " + path));
    if (claim && !done) ::unlink(path.c_str());
    wipe(text);
    return done;
}

}  // namespace hd::seal
