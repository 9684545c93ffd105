#include "gateway/wire/keys.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include "index/base/encoding.hpp"
#include "index/base/files.hpp"

namespace hd::wire {

CurveKey CurveKey::generate() {
    Secret<32> secret;
    random_bytes(secret.mut());
    // Clamped as RFC 7748 has it, so that the file holds what the curve uses.
    secret.mut()[0] &= 248;
    secret.mut()[31] = static_cast<std::uint8_t>((secret.mut()[31] & 127) | 64);
    return from_secret(std::move(secret));
}

CurveKey CurveKey::from_secret(Secret<32> secret) {
    CurveKey key{std::move(secret), {}};
    key.public_key = x25519_public(key.secret);
    return key;
}

Result<void> write_curve_key(const std::string& path, const CurveKey& key) {
    std::string text = to_z85(key.secret.view()) + "\n";
    auto done = write_file_atomic(path, as_bytes(text), 0600);
    wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    return done;
}

Result<CurveKey> read_curve_key(const std::string& path) {
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) return errno_error(errno, "CURVE key " + path);
    if ((st.st_mode & 077) != 0)
        return Error{ErrorCode::refused,
                     fmt::format("CURVE key {}: group or others can read it (mode {:04o}); chmod "
                                 "600 it, or make a new key",
                                 path, st.st_mode & 07777)};
    HD_ASSIGN(Bytes text, real_file_system().read(path, 256));
    std::string_view line = as_text(text);
    if (line.ends_with('\n')) line.remove_suffix(1);
    auto raw = line.size() == 40 ? from_z85(line)
                                 : Result<Bytes>(Error{ErrorCode::corrupt, "not 40 characters"});
    wipe(text);
    if (!raw || raw->size() != 32)
        return Error{ErrorCode::corrupt,
                     fmt::format("CURVE key {}: must be one line of 40 Z85 characters", path)};
    Secret<32> secret;
    std::copy(raw->begin(), raw->end(), secret.mut().begin());
    wipe(*raw);
    return CurveKey::from_secret(std::move(secret));
}

Result<CurveKey> read_or_make_curve_key(const std::string& path) {
    auto key = read_curve_key(path);
    if (key || key.error().code != ErrorCode::not_found) return key;
    CurveKey fresh = CurveKey::generate();
    HD_TRY(write_curve_key(path, fresh));
    return fresh;
}

std::string to_z85_text(const CurvePublic& key) { return to_z85(key); }

Result<CurvePublic> parse_curve_public(std::string_view z85, std::string_view what) {
    auto raw = z85.size() == 40 ? from_z85(z85)
                                : Result<Bytes>(Error{ErrorCode::invalid, "not 40 characters"});
    if (!raw || raw->size() != 32)
        return Error{ErrorCode::invalid, fmt::format("{}: must be 40 characters of Z85", what)};
    CurvePublic out{};
    std::copy(raw->begin(), raw->end(), out.begin());
    return out;
}

}  // namespace hd::wire
