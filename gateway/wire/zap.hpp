// The ZAP handler (ZeroMQ RFC 27): decides for every connection of its context whether it may come
// in, and as whom. Private to gateway/wire. Passive: step() serves what waits; whoever waits for a
// decision stays out.
#pragma once

#include <map>
#include <string>

#include "gateway/wire/server.hpp"
#include "gateway/wire/zmq_handles.hpp"

namespace hd::wire {

// What one endpoint lets in.
struct ZapDomain {
    bool curve = false;                       // else NULL: ipc, guarded by the file system
    std::map<CurvePublic, std::string> keys;  // curve: key -> User-Id
    std::string everybody;                    // not curve: the User-Id of whoever comes
    std::size_t free_connections = 64;        // kept up to date by the server
};

struct ZapRequest {
    std::string domain, mechanism;
    Bytes credentials;
};
struct ZapVerdict {
    int status = 400;  // 200 welcome, 300 full, 400 refused, 500 not a request
    std::string user_id;
};
// Pure. An unknown domain, another mechanism and an unknown key are refused.
ZapVerdict decide_zap(const std::map<std::string, ZapDomain>& domains, const ZapRequest& request);

class ZapHandler {
  public:
    explicit ZapHandler(testing::ZapFault fault = testing::ZapFault::none) : fault_(fault) {}
    Result<void> bind(void* context);
    // Serves the requests that wait, at most 64.
    Result<void> step();
    void* socket() const { return socket_.get(); }

    std::map<std::string, ZapDomain> domains;
    std::uint64_t accepted = 0;
    std::uint64_t refused = 0;
    bool drained = false;  // for wait_any

  private:
    testing::ZapFault fault_;
    SocketPtr socket_;
};

// The options that make a server socket ask the handler, before bind. `key` null: NULL mechanism.
Result<void> require_zap(void* socket, const std::string& domain, const CurveKey* key,
                         testing::ZapFault fault = testing::ZapFault::none);

// Binds the handler and proves that it decides. Afterwards it serves, with no domain set.
Result<void> bind_and_self_test(void* context, ZapHandler& handler,
                                testing::ZapFault fault = testing::ZapFault::none);

}  // namespace hd::wire
