#include "tests/pipelines/tls_tools.hpp"

#include <array>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include <openssl/pem.h>

#include "index/base/encoding.hpp"
#include "tests/support/temp_folder.hpp"

namespace hd::test {
namespace {

void need(bool ok, const char* what) {
    if (!ok) throw std::runtime_error(what);
}

struct BioFree {
    void operator()(BIO* p) const { ::BIO_free(p); }
};

void add_extension(X509* certificate, int kind, const std::string& value) {
    X509_EXTENSION* e = ::X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
    need(e != nullptr && ::X509_add_ext(certificate, e, -1) == 1, "extension");
    ::X509_EXTENSION_free(e);
}

}  // namespace

Identity make_identity(const Wish& wish) {
    static long serial = 1;
    Identity out;
    out.key.reset(::EVP_EC_gen("P-256"));
    out.certificate.reset(::X509_new());
    X509* const c = out.certificate.get();
    ::X509_set_version(c, 2);
    ::ASN1_INTEGER_set(::X509_get_serialNumber(c), ++serial);
    ::X509_time_adj_ex(::X509_getm_notBefore(c), wish.first_day, 0, nullptr);
    ::X509_time_adj_ex(::X509_getm_notAfter(c), wish.last_day, 0, nullptr);
    ::X509_set_pubkey(c, out.key.get());
    const std::string name = "camera " + std::to_string(serial);
    ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(c), "CN", MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    const Identity& issuer = wish.issuer ? *wish.issuer : out;
    ::X509_set_issuer_name(c, ::X509_get_subject_name(issuer.certificate.get()));
    if (!wish.names.empty()) add_extension(c, NID_subject_alt_name, wish.names);
    if (wish.authority) add_extension(c, NID_basic_constraints, "critical,CA:TRUE");
    need(::X509_sign(c, issuer.key.get(), ::EVP_sha256()) > 0, "sign");
    return out;
}

std::string Identity::pin() const {
    std::array<std::uint8_t, 32> digest{};
    unsigned size = 0;
    ::X509_digest(certificate.get(), ::EVP_sha256(), digest.data(), &size);
    return "sha256:" + to_hex(digest);
}

std::string Identity::pem() const {
    const std::unique_ptr<BIO, BioFree> out(::BIO_new(::BIO_s_mem()));
    ::PEM_write_bio_X509(out.get(), certificate.get());
    ::PEM_write_bio_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

const Identity& authority() {
    static const TempFolder folder;
    static const Identity made = [] {
        Identity out = make_identity({.names = "", .authority = true});
        const std::string file = folder / "authority.pem";
        std::ofstream(file) << out.pem();
        ::setenv("SSL_CERT_FILE", file.c_str(), 1);
        return out;
    }();
    return made;
}

ServerSide make_server(const Identity& identity, int oldest, int newest) {
    ServerSide out;
    out.context.reset(::SSL_CTX_new(::TLS_server_method()));
    SSL_CTX* const c = out.context.get();
    ::SSL_CTX_set_security_level(c, 0);  // for what is too old to be served otherwise
    need(SSL_CTX_set_min_proto_version(c, oldest) == 1, "oldest");
    need(SSL_CTX_set_max_proto_version(c, newest) == 1, "newest");
    need(::SSL_CTX_use_certificate(c, identity.certificate.get()) == 1, "certificate");
    need(::SSL_CTX_use_PrivateKey(c, identity.key.get()) == 1, "key");
    out.tls.reset(::SSL_new(c));
    return out;
}

}  // namespace hd::test
