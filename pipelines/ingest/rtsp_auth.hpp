// Answers to a camera's 401: digest (RFC 7616, RFC 2617) with SHA-256 or MD5, or basic (RFC 7617).
// Pure, but for the random client nonce that the caller brings. Holds credentials: never log.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pipelines/ingest/rtsp_message.hpp"

namespace hd::ingest {

class RtspAuth {
  public:
    RtspAuth(std::string user, std::string password)
        : user_(std::move(user)), password_(std::move(password)) {}
    ~RtspAuth();
    RtspAuth(const RtspAuth&) = delete;
    RtspAuth& operator=(const RtspAuth&) = delete;

    // Takes the strongest challenge of a 401 that we can answer: digest before basic, SHA-256
    // before MD5. False: trying again is of no use; there is no user, no challenge that we know, or
    // the camera has refused an answer to this very nonce.
    bool challenged(const RtspMessage& unauthorized);

    // The Authorization header for the next request; nothing as long as no challenge was taken.
    // `cnonce`: a fresh random word without quotes.
    std::optional<std::string> header(std::string_view method, std::string_view uri,
                                      std::string_view cnonce);

  private:
    enum class Scheme { none, basic, md5, sha256 };
    struct Challenge {
        Scheme scheme = Scheme::none;
        std::string realm, nonce, opaque;
        bool qop = false, stale = false, has_opaque = false, names_algorithm = false;
    };
    static Challenge parse(std::string_view value);
    std::string digest(std::string_view method, std::string_view uri, std::string_view cnonce);

    const std::string user_;
    std::string password_;
    Challenge taken_;
    bool used_ = false;  // a request with an answer to taken_ was made
    std::uint32_t count_ = 0;
};

}  // namespace hd::ingest
