// One named endpoint of the Server: its socket, who may use it, how many do. Private to
// gateway/wire.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "gateway/wire/server.hpp"
#include "gateway/wire/zap.hpp"
#include "gateway/wire/zmq_handles.hpp"

namespace hd::wire {

// invalid: names the rule that an endpoint's settings break (tcp without key, path too long ...).
Result<void> check_endpoint(const EndpointSettings& settings);
// What ZAP says of this user, and what each of the user's messages carries: "owner:alice".
std::string user_id(Role role, std::string_view user);

class Endpoint {
  public:
    // Checks the settings and binds. Nobody comes in before the handler knows zap_domain().
    static Result<std::unique_ptr<Endpoint>> open(void* context, EndpointSettings settings);
    ~Endpoint() { close(); }
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;

    ZapDomain zap_domain() const;
    // Closes the socket and everybody's connection, then opens it again at the same address.
    Result<void> reopen();
    // Reads the socket monitor: keeps the number of connections.
    void count_connections();
    std::size_t free_connections() const;

    // The user of this User-Id if he may use the endpoint now.
    const std::string* find_user(std::string_view zap_user_id) const;

    EndpointSettings settings;
    void* socket() const { return socket_.get(); }
    void* monitor() const { return monitor_.get(); }
    // Of socket and monitor, for wait_any.
    bool drained = false;
    bool monitor_drained = false;

    // For open() only: not bound yet.
    Endpoint(void* context, EndpointSettings s) : settings(std::move(s)), context_(context) {}

  private:
    Result<void> bind();
    void close();

    void* context_;  // must outlive this
    SocketPtr socket_;
    SocketPtr monitor_;
    std::string bound_;            // the address as libzmq wrote it
    std::set<std::int64_t> open_;  // file descriptors of connections, authenticated or not
    std::int64_t authenticated_ = 0;
};

}  // namespace hd::wire
