// Packets of the link socket, settings included.
//
// Invariants checked: decoding any bytes ends without a fault; what decodes encodes to a packet of
// at most 64 KiB that decodes to the same bytes again.
#include <cstdlib>

#include "pipelines/link/notice.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hd;
    const auto message = link::decode(ByteView{data, size});
    if (!message) return 0;
    const Bytes packet = link::encode(*message);
    if (packet.size() > link::kMaxMessageBytes) std::abort();
    const auto again = link::decode(packet);
    if (!again || link::encode(*again) != packet) std::abort();
    return 0;
}
