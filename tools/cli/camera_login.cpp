#include "tools/cli/camera_login.hpp"

#include <optional>

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

namespace hd::cli {
namespace {

// While it lives, the terminal of standard input does not show what is typed.
class SilentTerminal {
  public:
    SilentTerminal() : quiet_(::tcgetattr(STDIN_FILENO, &before_) == 0) {
        if (!quiet_) return;
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    ~SilentTerminal() {
        if (quiet_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }
    SilentTerminal(const SilentTerminal&) = delete;
    SilentTerminal& operator=(const SilentTerminal&) = delete;

  private:
    termios before_{};
    bool quiet_;
};

}  // namespace

CameraUrl split_url(const std::string& url) {
    const auto scheme = url.find("://");
    if (scheme == std::string::npos) return {url, {}, {}};
    const auto slash = url.find('/', scheme + 3);
    // The last @ before the path: a password may hold one.
    const auto at = url.substr(0, slash).rfind('@');
    if (at == std::string::npos || at < scheme + 3) return {url, {}, {}};
    const std::string login = url.substr(scheme + 3, at - scheme - 3);
    const auto colon = login.find(':');
    CameraUrl out{url.substr(0, scheme + 3) + url.substr(at + 1), login.substr(0, colon), {}};
    if (colon != std::string::npos) out.password = login.substr(colon + 1);
    return out;
}

Result<std::string> ask_password(Context& ctx, const std::string& camera) {
    std::optional<SilentTerminal> silent;
    if (ctx.streams.in_is_terminal) {
        ctx.streams.err << fmt::format("Password of camera {}: ", camera) << std::flush;
        silent.emplace();
    }
    std::string line;
    const bool read = static_cast<bool>(std::getline(ctx.streams.in, line));
    if (silent) ctx.streams.err << '\n';
    if (read) return line;
    return with_next(
        Error{ErrorCode::invalid, fmt::format("camera {} has a user and no password", camera)},
        "give one line per such camera on standard input, in the order of the "
        "--camera options");
}

}  // namespace hd::cli
