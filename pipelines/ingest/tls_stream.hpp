// A camera's bytes inside TLS (rtsps://).
#pragma once

#include "pipelines/ingest/byte_stream.hpp"

namespace hd::ingest {

// Called before a recorder's walls go up: OpenSSL's configuration and the authorities' certificates
// may be where it cannot read afterwards. Later calls do nothing.
Result<void> init_tls();

// `connected` as a Dialer gives it. `trust` as RecorderSettings::tls, `host` as in the URL. open()
// is the handshake; the errors of it have cause `refused` if asking again later is of little use.
Result<std::unique_ptr<ByteStream>> make_tls_stream(Fd connected, const std::string& trust,
                                                    const std::string& host);

}  // namespace hd::ingest
