#include "pipelines/ingest/tls_trust.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>

#include "index/base/crypto.hpp"
#include "index/base/encoding.hpp"
#include "pipelines/ingest/tls_stream.hpp"
#include "pipelines/link/settings.hpp"

namespace hd::ingest {
namespace {

// As long as what is read at once, so that a picture's records are taken in one system call.
constexpr std::size_t kReadAhead = 64 << 10;
constexpr std::size_t kMaxName = 40;
constexpr std::size_t kMaxNames = 2;

// Printable ASCII of a certificate's words, short: they end up in a log and in a journal.
std::string printable(const ASN1_STRING* text) {
    std::string out;
    const auto* bytes = ::ASN1_STRING_get0_data(text);
    const auto size = static_cast<std::size_t>(std::max(0, ::ASN1_STRING_length(text)));
    for (const char c : as_text({bytes, std::min(size, kMaxName)}))
        out.push_back(c > ' ' && c < 0x7f && c != '"' ? c : '?');
    return out;
}

std::string address_words(const ASN1_STRING* address) {
    std::array<char, INET6_ADDRSTRLEN> out{};
    const int size = ::ASN1_STRING_length(address);
    if (size != 4 && size != 16) return "?";
    ::inet_ntop(size == 4 ? AF_INET : AF_INET6, ::ASN1_STRING_get0_data(address), out.data(),
                out.size());
    return out.data();
}

// For whom a certificate is, as far as it says so.
std::string names_of(const X509* certificate) {
    std::string out;
    std::size_t count = 0;
    const auto add = [&](const std::string& name) {
        if (++count <= kMaxNames) out += (out.empty() ? "" : ", ") + name;
    };
    const GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
        ::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
        if (name->type == GEN_DNS) add(printable(name->d.dNSName));
        if (name->type == GEN_IPADD) add(address_words(name->d.iPAddress));
    }
    if (count == 0) {
        X509_NAME* subject = ::X509_get_subject_name(certificate);
        const int at = ::X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
        if (at >= 0) add(printable(::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(subject, at))));
    }
    if (count > kMaxNames) out += " and others";
    return out.empty() ? "nobody" : out;
}

std::string day_of(const ASN1_TIME* time) {
    std::tm parts{};
    if (::ASN1_TIME_to_tm(time, &parts) != 1) return "an unreadable day";
    return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

// What is wrong with it, after "camera's certificate".
std::string fault_of(X509_STORE_CTX* certificates, const std::string& host) {
    const int error = ::X509_STORE_CTX_get_error(certificates);
    // The one at fault, which may be an authority's.
    const X509* at = ::X509_STORE_CTX_get_current_cert(certificates);
    switch (error) {
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return fmt::format("is for {}, not for {}",
                               names_of(::X509_STORE_CTX_get0_cert(certificates)), host);
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return fmt::format("expired on {}", at ? day_of(::X509_get0_notAfter(at)) : "some day");
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return fmt::format("begins on {}: is the hub's clock right",
                               at ? day_of(::X509_get0_notBefore(at)) : "some day");
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            return "is not trusted (self-signed)";
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
            return "is not trusted (no authority that this system knows)";
        default:
            return fmt::format("is not trusted ({})", ::X509_verify_cert_error_string(error));
    }
}

std::string fingerprint(X509* certificate) {
    Digest digest{};
    unsigned size = 0;
    if (::X509_digest(certificate, ::EVP_sha256(), digest.data(), &size) != 1) return {};
    return std::string(link::kTlsPin) + to_hex(digest);
}

// Without the zone of an IPv6 address; nothing if it is a name.
std::optional<std::string> address_in(const std::string& host) {
    in6_addr bytes{};
    const std::string v6 = host.substr(0, host.find('%'));
    if (::inet_pton(AF_INET, host.c_str(), &bytes) == 1) return host;
    if (::inet_pton(AF_INET6, v6.c_str(), &bytes) == 1) return v6;
    return std::nullopt;
}

}  // namespace

Result<void> init_tls() {
    HD_TRY(TlsTrust::context());
    return {};
}

Result<SSL_CTX*> TlsTrust::context() {
    static const SslContextPtr made = [] {
        SslContextPtr out(::SSL_CTX_new(::TLS_client_method()));
        if (!out || ::SSL_CTX_set_min_proto_version(out.get(), TLS1_2_VERSION) != 1 ||
            ::SSL_CTX_set_default_verify_paths(out.get()) != 1)
            return SslContextPtr();
        ::SSL_CTX_set_cert_verify_callback(out.get(), judge, nullptr);
        // What waits to be sent may move in memory meanwhile, and goes out in parts.
        ::SSL_CTX_set_mode(out.get(),
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        ::SSL_CTX_set_session_cache_mode(out.get(), SSL_SESS_CACHE_OFF);
        ::SSL_CTX_set_read_ahead(out.get(), 1);
        ::SSL_CTX_set_default_read_buffer_len(out.get(), kReadAhead);
        return out;
    }();
    ::ERR_clear_error();
    if (!made) return Error{ErrorCode::unavailable, "OpenSSL did not start"};
    return made.get();
}

Result<SslPtr> TlsTrust::begin() {
    HD_ASSIGN(SSL_CTX* const process, context());
    SslPtr out(::SSL_new(process));
    if (!out) return Error{ErrorCode::exhausted, "OpenSSL made no connection"};
    SSL_set_app_data(out.get(), this);
    ::SSL_set_verify(out.get(), SSL_VERIFY_PEER, nullptr);
    X509_VERIFY_PARAM* wanted = ::SSL_get0_param(out.get());
    bool set = false;
    if (const auto address = address_in(host_)) {
        set = ::X509_VERIFY_PARAM_set1_ip_asc(wanted, address->c_str()) == 1;
    } else {
        ::X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        set = ::X509_VERIFY_PARAM_set1_host(wanted, host_.c_str(), host_.size()) == 1 &&
              SSL_set_tlsext_host_name(out.get(), host_.c_str()) == 1;
    }
    if (!set) return Error{ErrorCode::invalid, "url: no certificate can be for this host"};
    ::SSL_set_connect_state(out.get());
    return out;
}

int TlsTrust::judge(X509_STORE_CTX* certificates, void*) {
    auto* connection = static_cast<SSL*>(
        ::X509_STORE_CTX_get_ex_data(certificates, ::SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto* trust = static_cast<TlsTrust*>(SSL_get_app_data(connection));
    if (!trust->takes(certificates)) return 0;
    ::X509_STORE_CTX_set_error(certificates, X509_V_OK);
    return 1;
}

bool TlsTrust::takes(X509_STORE_CTX* certificates) {
    if (setting_ == link::kTlsAny || ::X509_verify_cert(certificates) == 1) return true;
    // A certificate that was pinned is good whoever it is for and however old.
    const std::string offered = fingerprint(::X509_STORE_CTX_get0_cert(certificates));
    if (!offered.empty() && offered == setting_) return true;
    const bool pinned = setting_.starts_with(link::kTlsPin);
    refusal_ = fmt::format(
        "camera's certificate {}; if it is the right one, set tls = \"{}\"",
        pinned ? "is another than the one that tls names" : fault_of(certificates, host_), offered);
    return false;
}

}  // namespace hd::ingest
