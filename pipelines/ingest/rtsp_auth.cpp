#include "pipelines/ingest/rtsp_auth.hpp"

#include <fmt/format.h>

#include "index/base/crypto.hpp"
#include "index/base/encoding.hpp"
#include "index/base/md5.hpp"

namespace hd::ingest {
namespace {

// Control characters and quotes cannot be said in a quoted string of RTSP.
std::string quotable(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) continue;
        if (c == '"' || c == '\\') out.push_back('\\');
        out.push_back(c);
    }
    return out;
}

std::string hash(bool use_sha256, std::string text) {
    std::string out;
    if (use_sha256) {
        out = to_hex(sha256(as_bytes(text)));
    } else if (const auto digest = md5(as_bytes(text))) {
        out = to_hex(*digest);
    }
    wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    return out;
}

bool lists_auth(std::string_view qop) {
    while (!qop.empty()) {
        const std::size_t end = std::min(qop.find(','), qop.size());
        if (equal_ignoring_case(trimmed(qop.substr(0, end)), "auth")) return true;
        qop.remove_prefix(std::min(end + 1, qop.size()));
    }
    return false;
}

}  // namespace

RtspAuth::~RtspAuth() {
    wipe({reinterpret_cast<std::uint8_t*>(password_.data()), password_.size()});
}

RtspAuth::Challenge RtspAuth::parse(std::string_view value) {
    Challenge out;
    value = trimmed(value);
    const std::size_t space = std::min(value.find(' '), value.size());
    const std::string_view scheme = value.substr(0, space), rest = value.substr(space);
    if (equal_ignoring_case(scheme, "Basic")) {
        out.scheme = Scheme::basic;
        out.realm = parameter(rest, "realm", ',').value_or("");
        return out;
    }
    if (!equal_ignoring_case(scheme, "Digest")) return out;
    const auto nonce = parameter(rest, "nonce", ',');
    const auto algorithm = parameter(rest, "algorithm", ',');
    if (!nonce) return out;
    if (!algorithm || equal_ignoring_case(*algorithm, "MD5")) out.scheme = Scheme::md5;
    if (algorithm && equal_ignoring_case(*algorithm, "SHA-256")) out.scheme = Scheme::sha256;
    if (out.scheme == Scheme::md5 && !md5({})) out.scheme = Scheme::none;
    out.names_algorithm = algorithm.has_value();
    out.nonce = *nonce;
    out.realm = parameter(rest, "realm", ',').value_or("");
    if (const auto opaque = parameter(rest, "opaque", ',')) {
        out.opaque = *opaque;
        out.has_opaque = true;
    }
    out.qop = lists_auth(parameter(rest, "qop", ',').value_or(""));
    out.stale = equal_ignoring_case(parameter(rest, "stale", ',').value_or(""), "true");
    return out;
}

bool RtspAuth::challenged(const RtspMessage& unauthorized) {
    if (user_.empty()) return false;
    Challenge best;
    for (const RtspHeader& h : unauthorized.headers) {
        if (!equal_ignoring_case(h.name, "WWW-Authenticate")) continue;
        Challenge one = parse(h.value);
        if (one.scheme > best.scheme) best = std::move(one);
    }
    if (best.scheme == Scheme::none) return false;
    // The camera knew this challenge's answer and does not want it. A new nonce is another matter:
    // many cameras let one expire without saying stale=true; the caller limits the tries.
    if (used_ && best.scheme == taken_.scheme && best.nonce == taken_.nonce && !best.stale)
        return false;
    taken_ = std::move(best);
    used_ = false;
    count_ = 0;
    return true;
}

std::string RtspAuth::digest(std::string_view method, std::string_view uri,
                             std::string_view cnonce) {
    const bool sha = taken_.scheme == Scheme::sha256;
    const std::string secret = hash(sha, fmt::format("{}:{}:{}", user_, taken_.realm, password_));
    const std::string what = hash(sha, fmt::format("{}:{}", method, uri));
    const std::string count = fmt::format("{:08x}", ++count_);
    const std::string response =
        taken_.qop ? hash(sha, fmt::format("{}:{}:{}:{}:auth:{}", secret, taken_.nonce, count,
                                           cnonce, what))
                   : hash(sha, fmt::format("{}:{}:{}", secret, taken_.nonce, what));
    std::string out = fmt::format(
        "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{}\"",
        quotable(user_), quotable(taken_.realm), quotable(taken_.nonce), uri, response);
    if (taken_.names_algorithm) out += fmt::format(", algorithm={}", sha ? "SHA-256" : "MD5");
    if (taken_.has_opaque) out += fmt::format(", opaque=\"{}\"", quotable(taken_.opaque));
    if (taken_.qop) out += fmt::format(", qop=auth, nc={}, cnonce=\"{}\"", count, cnonce);
    return out;
}

std::optional<std::string> RtspAuth::header(std::string_view method, std::string_view uri,
                                            std::string_view cnonce) {
    if (taken_.scheme == Scheme::none) return std::nullopt;
    used_ = true;
    if (taken_.scheme == Scheme::basic)
        return "Basic " + to_base64(as_bytes(user_ + ":" + password_), Padding::with);
    return digest(method, uri, cnonce);
}

}  // namespace hd::ingest
