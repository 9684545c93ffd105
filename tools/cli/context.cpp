#include "tools/cli/context.hpp"

#include <cstdlib>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "tools/cli/when.hpp"

namespace hd::cli {

void Context::note(std::string_view line) {
    if (!opt.quiet) streams.err << line << '\n';
}

void Context::warn(std::string_view line) { streams.err << line << '\n'; }

Result<bool> Context::ask_yes_no(std::string_view question) {
    if (opt.yes) return true;
    if (!streams.in_is_terminal)
        return with_next(
            Error{ErrorCode::refused, fmt::format("this needs a yes to: {}", question)},
            "run it at a terminal, or add --yes if you have looked at what it does");
    streams.out.flush();
    streams.err << question << " [yes/no] " << std::flush;
    std::string answer;
    while (std::getline(streams.in, answer)) {
        if (answer == "yes" || answer == "y") return true;
        if (answer == "no" || answer == "n" || answer.empty()) return false;
        streams.err << "Please write yes or no: " << std::flush;
    }
    return false;
}

Result<bool> Context::ask_at_terminal(std::string_view question) {
    return streams.in_is_terminal ? ask_yes_no(question) : true;
}

Result<WallTime> Context::when(std::string_view text, std::string_view what) {
    auto t = parse_when(text, clock.wall());
    if (!t) return t.error().in(what);
    return t;
}

Result<TimeSpan> Context::window(std::string_view from, std::string_view to) {
    HD_ASSIGN(const WallTime begin, when(from, "--from"));
    HD_ASSIGN(const WallTime end, when(to, "--to"));
    if (end <= begin)
        return Error{ErrorCode::invalid,
                     fmt::format("the window ends ({}) at or before its begin ({}): --to must be "
                                 "later than --from",
                                 to_rfc3339(end), to_rfc3339(begin))};
    const TimeSpan span{begin, end};
    note(fmt::format("window {} to {} UTC ({})", to_rfc3339(begin), to_rfc3339(end),
                     short_duration(span.length())));
    return span;
}

Result<std::string> Context::state_folder() {
    std::string folder = opt.state;
    if (folder.empty()) {
        const char* xdg = std::getenv("XDG_CONFIG_HOME");  // NOLINT: read before any thread starts
        const char* home = std::getenv("HOME");            // NOLINT: same
        if (xdg != nullptr && *xdg != '\0')
            folder = join(xdg, "halfdoor");
        else if (home != nullptr && *home != '\0')
            folder = join(join(home, ".config"), "halfdoor");
        else
            return Error{ErrorCode::invalid,
                         "neither --state, XDG_CONFIG_HOME nor HOME says where to remember hubs"};
    }
    HD_TRY(real_file_system().make_folders(folder, 0700));
    return folder;
}

Error with_next(Error error, std::string_view next) {
    error.what += fmt::format("\n  next: {}", next);
    return error;
}

Result<void> write_new_file(const NewFile& file, ByteView bytes) {
    if (file.force) return write_file_atomic(file.path, bytes, file.mode);
    // O_EXCL: two programs that make the same key at once must not both believe they did.
    Fd fd{::open(file.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file.mode)};
    if (!fd && errno == EEXIST)
        return with_next(Error{ErrorCode::invalid, file.path + " exists already"},
                         "choose another name, or add --force to replace it (what it holds is "
                         "then gone for good)");
    if (!fd) return errno_error(errno, "create " + file.path);
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd.get(), bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error(errno, "write " + file.path);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    if (::fsync(fd.get()) != 0) return errno_error(errno, "fsync " + file.path);
    return {};
}

Result<std::string> read_text(Context& ctx, const std::string& path, std::string_view what,
                              std::uint64_t limit) {
    if (path == "-") {
        std::string text;
        char buffer[4096];
        while (ctx.streams.in.read(buffer, sizeof buffer) || ctx.streams.in.gcount() > 0) {
            text.append(buffer, static_cast<std::size_t>(ctx.streams.in.gcount()));
            if (text.size() > limit)
                return Error{ErrorCode::invalid,
                             fmt::format("{} on standard input is over {} bytes", what, limit)};
        }
        return text;
    }
    auto bytes = real_file_system().read(path, limit);
    if (!bytes) {
        Error error = bytes.error().in(what);
        // A file named on the command line that is not there is a usage error, not a "no".
        if (error.code == ErrorCode::not_found) error.code = ErrorCode::invalid;
        return error;
    }
    return std::string(as_text(*bytes));
}

}  // namespace hd::cli
