// Certificates, and the camera's side of a TLS connection, as tests want them.
#pragma once

#include <string>

#include "pipelines/ingest/tls_handles.hpp"

namespace hd::test {

struct KeyFree {
    void operator()(EVP_PKEY* p) const { ::EVP_PKEY_free(p); }
    void operator()(X509* p) const { ::X509_free(p); }
};

struct Identity {
    std::unique_ptr<EVP_PKEY, KeyFree> key;
    std::unique_ptr<X509, KeyFree> certificate;
    std::string pin() const;  // "sha256:..."
    std::string pem() const;  // certificate and key
};

struct Wish {
    std::string names = "DNS:camera.test";  // subjectAltName, as OpenSSL writes it; "": none
    int first_day = -2, last_day = 2;       // from today
    const Identity* issuer = nullptr;       // nullptr: self-signed
    bool authority = false;
};
Identity make_identity(const Wish& wish);

// One that this process, and what it starts, trust. Ask for it before the first TLS connection:
// OpenSSL reads $SSL_CERT_FILE once.
const Identity& authority();

// A server's side, not connected yet.
struct ServerSide {
    ingest::SslContextPtr context;
    ingest::SslPtr tls;
};
ServerSide make_server(const Identity& identity, int oldest, int newest);

}  // namespace hd::test
