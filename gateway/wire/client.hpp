// The client side: one question at a time with a deadline (tools), or many under way (the gate),
// and a subscriber for events. Used by one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/wire/keys.hpp"
#include "gateway/wire/message.hpp"
#include "index/base/result.hpp"
#include "index/base/time.hpp"

namespace hd::wire {

struct ClientSettings {
    std::string address;          // "ipc:///path" or "tcp://host:port"
    std::optional<CurveKey> key;  // ours; with `server_key` or not at all
    std::optional<CurvePublic> server_key;
    Micros timeout = std::chrono::seconds(5);  // of ask()
    int hwm = 64;
    MessageLimits limits = kReplyLimits;
};

class Client {
  public:
    // Connecting goes on in the background: that nobody listens shows as a timeout of ask().
    static Result<Client> open(ClientSettings settings);
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;
    ~Client();

    // Sends and waits for the reply with its correlation id; late replies of earlier questions are
    // dropped. unavailable: no answer in time ("no answer from ADDRESS within 5 s"). A hub's own
    // error is NOT an Error here but Reply::error: see `ok_reply`.
    Result<Reply> ask(std::string_view verb, std::string_view json, Frames binary = {});

    // refused: the server does not know our key. libzmq then gives the connection up: make a new
    // Client. For programs with their own loop. send: exhausted if the queue is full. receive:
    // nothing if none waits.
    Result<void> send(std::string_view verb, std::string_view correlation, std::string_view json,
                      Frames binary = {});
    Result<std::optional<Reply>> receive(Micros timeout);

    // For tests: frames as they are.
    Result<void> send_frames(const Frames& frames);
    Result<std::optional<Frames>> receive_frames(Micros timeout);

    void* zmq_socket() const;  // for Server::step only

  private:
    struct State;
    explicit Client(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

// A reply that says an error becomes that Error.
Result<Reply> ok_reply(Result<Reply> reply);

class Subscriber {
  public:
    // Topics are prefixes; an empty list subscribes to everything.
    static Result<Subscriber> open(ClientSettings settings, const std::vector<std::string>& topics);
    Subscriber(Subscriber&&) noexcept;
    Subscriber& operator=(Subscriber&&) noexcept;
    ~Subscriber();

    // Nothing if no event came in time. corrupt: what came is not an event.
    Result<std::optional<Event>> next(Micros timeout);

  private:
    struct State;
    explicit Subscriber(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace hd::wire
