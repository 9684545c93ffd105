#include "index/base/md5.hpp"

#include <openssl/evp.h>

namespace hd {

Result<std::array<std::uint8_t, 16>> md5(ByteView bytes) {
    std::array<std::uint8_t, 16> out{};
    std::size_t size = 0;
    if (EVP_Q_digest(nullptr, "MD5", nullptr, bytes.data(), bytes.size(), out.data(), &size) != 1 ||
        size != out.size())
        return Error{ErrorCode::unavailable, "MD5 is not allowed on this machine"};
    return out;
}

}  // namespace hd
