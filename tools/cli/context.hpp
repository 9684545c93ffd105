// What every verb gets: the common options, where to print, and the questions it may ask.
#pragma once

#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "index/base/clock.hpp"
#include "index/base/files.hpp"
#include "index/base/result.hpp"
#include "tools/cli/exit_code.hpp"
#include "tools/cli/output.hpp"

namespace hd::cli {

// Given before or after the verb; each verb uses those that make sense for it.
struct CommonOptions {
    std::string config;    // halfdoor.toml
    std::string data;      // data folder; wins over the config's
    std::string connect;   // ZeroMQ address of the hub
    std::string hub_card;  // file
    std::string key;       // file with an AGE-SECRET-KEY-1 line; "-": standard input
    std::string state;     // folder where the tool remembers hubs (default ~/.config/halfdoor)
    bool json = false;
    bool tsv = false;
    bool yes = false;
    bool quiet = false;
    int timeout_s = 10;
};

struct Streams {
    std::istream& in;
    std::ostream& out;
    std::ostream& err;
    bool in_is_terminal = false;
    bool err_is_terminal = false;
};

class Context {
  public:
    Context(Streams given, Clock& given_clock)
        : streams(given), clock(given_clock), out(given.out, Format::text) {}

    CommonOptions opt;
    Streams streams;
    Clock& clock;
    Output out;

    // A remark on standard error, so that standard output stays clean for scripts; --quiet drops
    // it.
    void note(std::string_view line);
    // A remark that must not be missed, --quiet or not.
    void warn(std::string_view line);
    // Yes or no from the person at the terminal; --yes answers. Without a terminal: refused, and
    // the error names --yes.
    Result<bool> ask_yes_no(std::string_view question);
    // The same for steps that a person can still take back: without a terminal it goes on.
    Result<bool> ask_at_terminal(std::string_view question);

    // A point of time from the command line. `what` names the option in the error.
    Result<WallTime> when(std::string_view text, std::string_view what);
    // [from, to), both given, from before to; says on standard error what was understood, in UTC.
    Result<TimeSpan> window(std::string_view from, std::string_view to);

    // ~/.config/halfdoor, $XDG_CONFIG_HOME/halfdoor, or --state; made with mode 0700 if missing.
    Result<std::string> state_folder();
};

// The error with a second line that says what to do.
Error with_next(Error error, std::string_view next);

// Writes a new file with this mode. Without `force` an existing file is left alone: invalid.
struct NewFile {
    std::string path;
    unsigned mode = 0644;
    bool force = false;
};
Result<void> write_new_file(const NewFile& file, ByteView bytes);
inline Result<void> write_new_file(const NewFile& file, std::string_view text) {
    return write_new_file(file, as_bytes(text));
}
// The whole file, or standard input for "-". `what` names it in the error.
Result<std::string> read_text(Context& ctx, const std::string& path, std::string_view what,
                              std::uint64_t limit);

}  // namespace hd::cli
