// The login of a camera as `init` is told it: it must stand neither in the config nor, if the
// person can help it, in the list of processes.
#pragma once

#include <string>

#include "index/base/result.hpp"
#include "tools/cli/context.hpp"

namespace hd::cli {

// A URL taken apart at its login: rtsp://user:password@host/path.
struct CameraUrl {
    std::string url;  // without the login
    std::string user, password;
};
CameraUrl split_url(const std::string& url);

// A line of standard input; at a terminal it is asked for, and not shown. An empty line is an
// empty password; `invalid` at the end of input.
Result<std::string> ask_password(Context& ctx, const std::string& camera);

}  // namespace hd::cli
