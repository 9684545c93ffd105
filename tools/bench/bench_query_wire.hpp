// Questions and answers as libzmq carries them, and the echo that the query bench compares with.
#pragma once

#include <csignal>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <sys/prctl.h>
#include <zmq.h>

#include "gateway/wire/message.hpp"
#include "index/base/check.hpp"
#include "tools/bench/bench_report.hpp"

namespace hd::bench {

// A message as it stands in libzmq: nothing is copied or parsed that the bench does not look at.
class Message {
  public:
    Message() { zmq_msg_init(&raw_); }
    ~Message() { zmq_msg_close(&raw_); }
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;
    bool receive(void* socket) { return zmq_msg_recv(&raw_, socket, 0) >= 0; }
    bool more() { return zmq_msg_more(&raw_) != 0; }
    std::string_view text() {
        return {static_cast<const char*>(zmq_msg_data(&raw_)), zmq_msg_size(&raw_)};
    }

  private:
    zmq_msg_t raw_;
};

inline void send_text(void* socket, std::string_view text, bool more) {
    HD_CHECK(zmq_send(socket, text.data(), text.size(), more ? ZMQ_SNDMORE : 0) >= 0);
}

inline void ask(void* socket, std::string_view verb, std::string_view json) {
    send_text(socket, wire::kProtocolTag, true);
    send_text(socket, verb, true);
    send_text(socket, "1", true);
    send_text(socket, json, false);
}

// Bytes of the JSON frame of an answer; ends the bench if it is none.
inline std::size_t take_answer(void* socket, std::string* json = nullptr) {
    Message tag, correlation, status, body;
    if (!tag.receive(socket)) give_up({ErrorCode::unavailable, "no answer within 30 s"});
    HD_CHECK(correlation.receive(socket) && status.receive(socket) && body.receive(socket));
    if (status.text() != "ok")
        give_up({ErrorCode::unavailable, fmt::format("the hub said: {}", body.text())});
    if (json != nullptr) *json = body.text();
    return body.text().size();
}

// The peer, in a process of its own: answers every question with the last `echo.set`.
[[noreturn]] inline void run_echo(const std::string& address) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    void* context = zmq_ctx_new();
    void* socket = zmq_socket(context, ZMQ_ROUTER);
    HD_CHECK(zmq_bind(socket, address.c_str()) == 0);
    std::string answer = "{}";
    for (;;) {
        Message id, tag, verb, correlation, body;
        HD_CHECK(id.receive(socket) && tag.receive(socket) && verb.receive(socket) &&
                 correlation.receive(socket) && body.receive(socket));
        if (verb.text() == "echo.set") answer = body.text();
        send_text(socket, id.text(), true);
        send_text(socket, tag.text(), true);
        send_text(socket, correlation.text(), true);
        send_text(socket, "ok", true);
        send_text(socket, answer, false);
    }
}

}  // namespace hd::bench
