// Invariants checked, on any packet between a recorder and its dialer (first byte: which of them
// reads it):
//  - no crash; what is read is written back as the same thing;
//  - a target has a host and a port of sensible size, words are printable and short.
#include <cstdint>

#include "index/base/check.hpp"
#include "pipelines/ingest/dial_messages.hpp"

using namespace hd;
using namespace hd::ingest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const ByteView packet(data + 1, size - 1);
    if (data[0] % 2 == 0) {
        const auto request = decode_dial_request(packet);
        if (!request) return 0;
        HD_CHECK(decode_dial_request(encode(*request)) == request);
        if (const auto* aim = std::get_if<Aim>(&*request)) {
            HD_CHECK(!aim->target.host.empty() && aim->target.host.size() <= 253);
            HD_CHECK(!aim->target.port.empty() && std::stoul(aim->target.port) - 1 < 65535);
            for (const char c : aim->target.host) HD_CHECK(c > ' ' && c < 0x7f);
        }
        return 0;
    }
    const auto reply = decode_dial_reply(packet);
    if (!reply) return 0;
    HD_CHECK(decode_dial_reply(encode(*reply)) == reply);
    const std::string words = std::visit([](const auto& r) { return r.words; }, *reply);
    HD_CHECK(words.size() <= 200);
    for (const char c : words) HD_CHECK(c >= ' ' && c < 0x7f && c != '"');
    return 0;
}
