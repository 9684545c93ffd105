// Invariants checked, on any bytes that a camera sends on its RTSP connection:
//  - each item is found, or waited for only below kRtspMaxItem, and its size is within the buffer;
//  - a whole conversation about them (challenges, SDP, transport, session) never crashes or hangs;
//  - what we say holds no password and no line that a camera put there;
//  - so does a conversation about UDP, whose words about the camera's source are printable and
//    short.
#include <cstdint>

#include "index/base/check.hpp"
#include "index/base/crypto.hpp"
#include "index/base/encoding.hpp"
#include "pipelines/ingest/rtsp_client.hpp"

using namespace hd;

namespace {

void converse(const std::uint8_t* data, std::size_t size, bool udp) {
    // No camera can say the hash of its own words. A fixed password it finds, and may hear again:
    // the opaque text of a challenge goes back to it, without what a header cannot hold.
    const std::string password = to_hex(sha256({data, size}));
    ingest::RtspClient client(
        "rtsp://camera/stream", "user", password,
        udp ? ingest::RtspClient::Sound::ask : ingest::RtspClient::Sound::leave);
    if (udp) client.use_udp({50'000, 50'002});
    client.start();
    ByteView in(data, size);
    std::size_t items = 0;
    while (!in.empty() && ++items < 10'000) {
        const ingest::RtspItem item = ingest::next_item(in);
        if (item.kind == ingest::RtspItem::Kind::incomplete) {
            HD_CHECK(in.size() < ingest::kRtspMaxItem);
            break;
        }
        HD_CHECK(item.size > 0 && item.size <= in.size());
        HD_CHECK(item.payload.size() <= item.size);
        if (item.kind == ingest::RtspItem::Kind::message)
            client.take(item.message, BootTime{static_cast<std::int64_t>(items) * 1'000'000});
        client.tick(BootTime{static_cast<std::int64_t>(items) * 1'000'000});
        in = in.subspan(item.size);
    }
    client.teardown();
    const std::string said = client.take_output();
    HD_CHECK(said.find(password) == std::string::npos);
    for (std::size_t at = 0; (at = said.find('\n', at)) != std::string::npos; ++at)
        HD_CHECK(at > 0 && said[at - 1] == '\r');
    if (!client.stream()) return;
    HD_CHECK(udp || !client.stream()->udp);
    HD_CHECK(client.stream()->source.size() <= 64);
    for (const char c : client.stream()->source) HD_CHECK(c > ' ' && c < 0x7f && c != '"');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    converse(data, size, false);
    converse(data, size, true);
    return 0;
}
