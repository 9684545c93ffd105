#include "tools/cli/progress.hpp"

#include <fmt/format.h>

namespace hd::cli {
namespace {

constexpr Micros kQuiet = std::chrono::seconds(1);
constexpr Micros kTerminalPeriod = std::chrono::milliseconds(200);
constexpr Micros kLogPeriod = std::chrono::seconds(5);

}  // namespace

Progress::Progress(Context& ctx, std::string what, std::uint64_t total)
    : ctx_(ctx), what_(std::move(what)), total_(total), began_(ctx.clock.boot()) {
    next_ = began_ + (ctx_.streams.err_is_terminal ? kQuiet : kLogPeriod);
}

Progress::~Progress() {
    if (printed_ && ctx_.streams.err_is_terminal) ctx_.streams.err << '\n';
}

void Progress::update(std::uint64_t done) {
    if (ctx_.opt.quiet) return;
    const BootTime now = ctx_.clock.boot();
    if (now < next_) return;
    next_ = now + (ctx_.streams.err_is_terminal ? kTerminalPeriod : kLogPeriod);
    print(done);
}

void Progress::print(std::uint64_t done) {
    printed_ = true;
    std::string line = fmt::format("{}: {}", what_, done);
    if (total_ > 0) line += fmt::format(" of {} ({} %)", total_, done * 100 / total_);
    line += fmt::format(", {}", short_duration(ctx_.clock.boot() - began_));
    if (ctx_.streams.err_is_terminal)
        ctx_.streams.err << "\r\033[K" << line << std::flush;
    else
        ctx_.streams.err << line << std::endl;
}

}  // namespace hd::cli
