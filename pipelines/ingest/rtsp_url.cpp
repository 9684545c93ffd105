#include "pipelines/ingest/rtsp_url.hpp"

#include <charconv>

namespace hd::ingest {

Result<RtspUrl> parse_rtsp_url(std::string_view url) {
    const std::size_t end_of_scheme = url.find("://");
    const std::string_view scheme = url.substr(0, end_of_scheme);
    if (end_of_scheme == std::string_view::npos || (scheme != "rtsp" && scheme != "rtsps"))
        return Error{ErrorCode::invalid, "url: must begin with rtsp:// or rtsps://"};
    url.remove_prefix(end_of_scheme + 3);
    std::string_view host = url.substr(0, url.find_first_of("/?"));
    if (host.find('@') != std::string_view::npos)
        return Error{ErrorCode::invalid, "url: user and password have settings of their own"};
    RtspUrl out;
    out.tls = scheme == "rtsps";
    std::size_t colon = host.rfind(':');
    if (!host.empty() && host[0] == '[') {
        const std::size_t close = host.find(']');
        if (close == std::string_view::npos)
            return Error{ErrorCode::invalid, "url: [ without ] around the address"};
        out.host = host.substr(1, close - 1);
        host.remove_prefix(close + 1);
        colon = host.find(':');
    } else {
        out.host = host.substr(0, colon);
    }
    if (colon != std::string_view::npos) {
        out.port = host.substr(colon + 1);
        unsigned port = 0;
        const auto [end, error] =
            std::from_chars(out.port.data(), out.port.data() + out.port.size(), port);
        if (error != std::errc{} || end != out.port.data() + out.port.size() || port == 0 ||
            port > 65535)
            return Error{ErrorCode::invalid, "url: the port must be 1 to 65535"};
    }
    if (out.host.empty()) return Error{ErrorCode::invalid, "url: names no host"};
    return out;
}

}  // namespace hd::ingest
