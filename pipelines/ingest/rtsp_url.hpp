// Where a camera's URL leads. Pure.
#pragma once

#include <string>
#include <string_view>

#include "index/base/result.hpp"

namespace hd::ingest {

struct RtspUrl {
    std::string host;  // without the brackets of an IPv6 address
    // RFC 7826 names 322 for rtsps; most cameras, and GStreamer, take 554 if the URL says nothing.
    std::string port = "554";
    bool tls = false;  // rtsps://
    bool operator==(const RtspUrl&) const = default;
};
// invalid: neither rtsp:// nor rtsps://, no host, or user and password in it (they have settings of
// their own).
Result<RtspUrl> parse_rtsp_url(std::string_view url);

}  // namespace hd::ingest
