// Hashes, signatures, random bytes, and memory that is wiped. The only primitives in the house.
//
// SHA-256 comes from libcrypto, which uses the CPU's SHA instructions (4x libsodium's, measured);
// the rest from libsodium. All functions are thread-safe; none blocks.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "index/base/bytes.hpp"
#include "index/base/result.hpp"

namespace hd {

using Digest = std::array<std::uint8_t, 32>;

Digest sha256(ByteView bytes);

// SHA-256 of bytes that come in parts.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;
    void update(ByteView bytes);
    Digest finish();  // once; the object is spent afterwards

  private:
    struct State;
    std::unique_ptr<State> state_;
};

void random_bytes(std::span<std::uint8_t> out);  // the kernel's generator; never fails
void wipe(std::span<std::uint8_t> secret);       // not removed by the optimiser
bool equal_constant_time(ByteView a, ByteView b);

// N secret bytes on the stack or in an object: zeroed on destruction and when moved from; no
// copies.
template <std::size_t N>
class Secret {
  public:
    Secret() = default;
    ~Secret() { wipe(bytes_); }
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    Secret(Secret&& o) noexcept : bytes_(o.bytes_) { wipe(o.bytes_); }
    Secret& operator=(Secret&& o) noexcept {
        if (this != &o) {
            bytes_ = o.bytes_;
            wipe(o.bytes_);
        }
        return *this;
    }
    // The one deliberate copy, spelled out.
    Secret clone() const {
        Secret s;
        s.bytes_ = bytes_;
        return s;
    }
    std::span<std::uint8_t, N> mut() { return bytes_; }
    ByteView view() const { return bytes_; }
    const std::uint8_t* data() const { return bytes_.data(); }
    static constexpr std::size_t size() { return N; }

  private:
    std::array<std::uint8_t, N> bytes_{};
};

Digest hmac_sha256(ByteView key, ByteView message);  // key of any length
// HKDF-SHA-256, RFC 5869, built on HMAC because libsodium 1.0.18 has none. out.size() <= 8160.
void hkdf_sha256(ByteView ikm, ByteView salt, ByteView info, std::span<std::uint8_t> out);

// Ed25519, RFC 8032.
using VerifyKey = std::array<std::uint8_t, 32>;
using Signature = std::array<std::uint8_t, 64>;

class SigningKey {
  public:
    static SigningKey from_seed(const Secret<32>& seed);
    Signature sign(ByteView message) const;
    const VerifyKey& verify_key() const { return public_; }

  private:
    Secret<64> secret_;
    VerifyKey public_{};
};
bool verify(const VerifyKey& key, ByteView message, const Signature& signature);

// X25519 (RFC 7748). `public_from_secret` clamps as the RFC says.
std::array<std::uint8_t, 32> x25519_public(const Secret<32>& secret);
// Refuses the all-zero shared secret of low-order points.
Result<Secret<32>> x25519_shared(const Secret<32>& secret, ByteView peer_public);

// ChaCha20-Poly1305 (RFC 8439), 12-byte nonce, no associated data. The output is 16 bytes longer.
void chacha_seal(const Secret<32>& key, const std::array<std::uint8_t, 12>& nonce, ByteView plain,
                 std::span<std::uint8_t> out);
// False if the tag does not match; `out` (16 bytes shorter than `sealed`) is then zeroed.
bool chacha_open(const Secret<32>& key, const std::array<std::uint8_t, 12>& nonce, ByteView sealed,
                 std::span<std::uint8_t> out);

}  // namespace hd
