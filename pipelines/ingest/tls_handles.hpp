// Owners of what OpenSSL hands out.
#pragma once

#include <memory>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace hd::ingest {

struct TlsRelease {
    void operator()(SSL_CTX* p) const { ::SSL_CTX_free(p); }
    void operator()(SSL* p) const { ::SSL_free(p); }
    void operator()(BIO_METHOD* p) const { ::BIO_meth_free(p); }
    void operator()(GENERAL_NAMES* p) const { ::GENERAL_NAMES_free(p); }
};

using SslContextPtr = std::unique_ptr<SSL_CTX, TlsRelease>;
using SslPtr = std::unique_ptr<SSL, TlsRelease>;
using BioMethodPtr = std::unique_ptr<BIO_METHOD, TlsRelease>;
using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, TlsRelease>;

}  // namespace hd::ingest
