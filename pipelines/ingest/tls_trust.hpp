// Which TLS connection to a camera is good enough: its version, and whose certificate it may have.
#pragma once

#include <string>

#include "index/base/result.hpp"
#include "pipelines/ingest/tls_handles.hpp"

namespace hd::ingest {

// One for each connection; must outlive what begin() gives.
class TlsTrust {
  public:
    // `setting` as RecorderSettings::tls; `host` as in the URL, a name or an address.
    TlsTrust(std::string setting, std::string host)
        : setting_(std::move(setting)), host_(std::move(host)) {}
    TlsTrust(const TlsTrust&) = delete;
    TlsTrust& operator=(const TlsTrust&) = delete;

    // The client's side of a connection, TLS 1.2 or newer, which ends in its handshake if the
    // camera's certificate is not one of those that the setting takes.
    Result<SslPtr> begin();

    // Why it was not taken and what can be done, in words for the owner; empty if it was.
    const std::string& refusal() const { return refusal_; }

    // Of the whole process. OpenSSL's configuration, and the authorities' certificates or where
    // they are, are read the first time.
    static Result<SSL_CTX*> context();

  private:
    static int judge(X509_STORE_CTX* certificates, void*);
    bool takes(X509_STORE_CTX* certificates);

    const std::string setting_, host_;
    std::string refusal_;
};

}  // namespace hd::ingest
