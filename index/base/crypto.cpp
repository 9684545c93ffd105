#include "index/base/crypto.hpp"

#include <algorithm>

#include <openssl/evp.h>
#include <sodium.h>

namespace hd {

struct EvpFree {
    void operator()(EVP_MD_CTX* ctx) const { EVP_MD_CTX_free(ctx); }
};
using EvpPtr = std::unique_ptr<EVP_MD_CTX, EvpFree>;

namespace {

// sodium_init is idempotent and thread-safe; after this static it cannot fail again.
const bool kSodiumReady = [] {
    HD_CHECK(sodium_init() >= 0);
    return true;
}();

// EVP_sha256() looks its implementation up at each init; fetching once saves a third of a short
// hash.
const EVP_MD* sha256_md() {
    static const EVP_MD* md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return md;
}

EvpPtr begin_sha256() {
    EvpPtr ctx{EVP_MD_CTX_new()};
    HD_CHECK(ctx && EVP_DigestInit_ex2(ctx.get(), sha256_md(), nullptr) == 1);
    return ctx;
}

Digest finish_sha256(EVP_MD_CTX* ctx) {
    Digest out{};
    unsigned size = 0;
    HD_CHECK(EVP_DigestFinal_ex(ctx, out.data(), &size) == 1 && size == out.size());
    return out;
}

}  // namespace

struct Sha256::State {
    EvpPtr ctx = begin_sha256();
};
Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
void Sha256::update(ByteView bytes) {
    HD_CHECK(EVP_DigestUpdate(state_->ctx.get(), bytes.data(), bytes.size()) == 1);
}
Digest Sha256::finish() { return finish_sha256(state_->ctx.get()); }

Digest sha256(ByteView bytes) {
    const EvpPtr ctx = begin_sha256();
    HD_CHECK(EVP_DigestUpdate(ctx.get(), bytes.data(), bytes.size()) == 1);
    return finish_sha256(ctx.get());
}

void random_bytes(std::span<std::uint8_t> out) {
    if (!out.empty()) randombytes_buf(out.data(), out.size());  // libsodium wants no null pointer
}
void wipe(std::span<std::uint8_t> secret) { sodium_memzero(secret.data(), secret.size()); }
bool equal_constant_time(ByteView a, ByteView b) {
    return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

Digest hmac_sha256(ByteView key, ByteView message) {
    Digest out{};
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key.data(), key.size());
    crypto_auth_hmacsha256_update(&state, message.data(), message.size());
    crypto_auth_hmacsha256_final(&state, out.data());
    sodium_memzero(&state, sizeof state);
    return out;
}

void hkdf_sha256(ByteView ikm, ByteView salt, ByteView info, std::span<std::uint8_t> out) {
    HD_CHECK(out.size() <= 255 * 32);
    const Digest zero_salt{};
    Digest prk = hmac_sha256(salt.empty() ? ByteView(zero_salt) : salt, ikm);
    Digest block{};
    std::size_t have = 0;
    for (std::uint8_t counter = 1; have < out.size(); ++counter) {
        crypto_auth_hmacsha256_state state;
        crypto_auth_hmacsha256_init(&state, prk.data(), prk.size());
        if (counter > 1) crypto_auth_hmacsha256_update(&state, block.data(), block.size());
        crypto_auth_hmacsha256_update(&state, info.data(), info.size());
        crypto_auth_hmacsha256_update(&state, &counter, 1);
        crypto_auth_hmacsha256_final(&state, block.data());
        sodium_memzero(&state, sizeof state);
        const std::size_t n = std::min(block.size(), out.size() - have);
        std::copy_n(block.begin(), n, out.begin() + static_cast<std::ptrdiff_t>(have));
        have += n;
    }
    wipe(prk);
    wipe(block);
}

SigningKey SigningKey::from_seed(const Secret<32>& seed) {
    SigningKey key;
    crypto_sign_seed_keypair(key.public_.data(), key.secret_.mut().data(), seed.data());
    return key;
}

Signature SigningKey::sign(ByteView message) const {
    Signature out{};
    crypto_sign_detached(out.data(), nullptr, message.data(), message.size(), secret_.data());
    return out;
}

bool verify(const VerifyKey& key, ByteView message, const Signature& signature) {
    return crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                       key.data()) == 0;
}

std::array<std::uint8_t, 32> x25519_public(const Secret<32>& secret) {
    std::array<std::uint8_t, 32> out{};
    crypto_scalarmult_base(out.data(), secret.data());
    return out;
}

Result<Secret<32>> x25519_shared(const Secret<32>& secret, ByteView peer_public) {
    if (peer_public.size() != 32) return Error{ErrorCode::invalid, "x25519: key must be 32 bytes"};
    Secret<32> out;
    if (crypto_scalarmult(out.mut().data(), secret.data(), peer_public.data()) != 0)
        return Error{ErrorCode::invalid, "x25519: the other key is a low-order point"};
    return out;
}

void chacha_seal(const Secret<32>& key, const std::array<std::uint8_t, 12>& nonce, ByteView plain,
                 std::span<std::uint8_t> out) {
    HD_CHECK(out.size() == plain.size() + 16);
    crypto_aead_chacha20poly1305_ietf_encrypt(out.data(), nullptr, plain.data(), plain.size(),
                                              nullptr, 0, nullptr, nonce.data(), key.data());
}

bool chacha_open(const Secret<32>& key, const std::array<std::uint8_t, 12>& nonce, ByteView sealed,
                 std::span<std::uint8_t> out) {
    HD_CHECK(sealed.size() >= 16 && out.size() == sealed.size() - 16);
    return crypto_aead_chacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, sealed.data(),
                                                     sealed.size(), nullptr, 0, nonce.data(),
                                                     key.data()) == 0;
}

}  // namespace hd
