// time: one instant in every notation that Halfdoor uses.
#include <algorithm>

#include <fmt/format.h>

#include "index/clip/clip_format.hpp"
#include "index/journal/camera_journal.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/when.hpp"
#include "tools/cli/where.hpp"

namespace hd::cli {
namespace {

struct TimeArgs {
    std::string text = "now";
    std::string boot;
};

bool all_digits(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Paths of clips may be relative to the clips folder, to here, or absolute.
std::optional<clip::ClipName> clip_name(std::string_view text) {
    if (!text.ends_with(".clip") && !text.ends_with(".clip.part")) return std::nullopt;
    std::size_t at = text.size();
    for (int slashes = 0; slashes < 3 && at != std::string_view::npos && at > 0; ++slashes)
        at = text.rfind('/', at - 1);
    const bool has_folder = at != std::string_view::npos && at > 0;
    auto name = clip::parse_clip_path(has_folder ? text.substr(at + 1) : text);
    if (!name) return std::nullopt;
    return *name;
}

Result<std::vector<journal::ClockRecord>> read_clock_log(const std::string& data) {
    std::vector<journal::ClockRecord> out;
    const std::string path = join(data, "journal/clock.log");
    if (!real_file_system().exists(path)) return out;
    HD_TRY(journal::read(real_file_system(), path, "clock", 0,
                         [&](const journal::Record& record, std::uint64_t) {
                             auto clock = journal::decode_clock_record(record);
                             if (clock) out.push_back(*clock);
                         }));
    return out;
}

// The offset that was in force at this BOOTTIME of this boot.
const journal::ClockRecord* in_force(const std::vector<journal::ClockRecord>& log, BootId boot,
                                     BootTime at) {
    const journal::ClockRecord* best = nullptr;
    for (const auto& record : log)
        if (record.when.boot == boot && (best == nullptr || record.when.at <= at)) best = &record;
    return best;
}

// The boot that was running at this UTC time, as far as the log tells: the last record before it.
const journal::ClockRecord* running(const std::vector<journal::ClockRecord>& log, WallTime t) {
    const journal::ClockRecord* best = nullptr;
    for (const auto& record : log)
        if (record.when.utc <= t && (best == nullptr || best->when.utc <= record.when.utc))
            best = &record;
    return best;
}

void show(Context& ctx, WallTime t, const std::vector<journal::ClockRecord>& log) {
    Row row{{"utc", to_rfc3339(t)},
            {"local", local_text(t)},
            {"unix_us", t.us},
            {"date_folder", to_date(t)},
            {"clip_name", to_time_of_day(t)},
            {"from_now", (t - ctx.clock.wall()).count(), short_duration(t - ctx.clock.wall())}};
    if (const auto* record = running(log, t)) {
        const BootTime at = record->when.at + (t - record->when.utc);
        row.emplace_back("boot", to_string(record->when.boot));
        row.emplace_back("boottime_us", at.us);
        row.emplace_back("clock", std::string(to_string(record->when.quality)));
    }
    ctx.out.facts(row);
}

Result<int> time_verb(Context& ctx, TimeArgs& args) {
    std::vector<journal::ClockRecord> log;
    if (const auto data = find_data_folder(ctx); data) {
        HD_ASSIGN(log, read_clock_log(*data));
    }
    if (!args.boot.empty()) {
        HD_ASSIGN(const BootId boot, parse_id<BootId>(args.boot, "--boot"));
        if (!all_digits(args.text) || args.text.size() > 18)
            return Error{ErrorCode::invalid,
                         "with --boot the time is BOOTTIME in microseconds, digits only"};
        const BootTime at{std::stoll(args.text)};
        const auto* record = in_force(log, boot, at);
        if (record == nullptr)
            return with_next(
                Error{ErrorCode::not_found, "clock.log does not know boot " + args.boot},
                "give --data FOLDER; `halfdoor dump FOLDER/journal/clock.log` lists "
                "the boots that it knows");
        show(ctx, record->when.utc + (at - record->when.at), log);
        return kOk;
    }
    if (const auto name = clip_name(args.text)) {
        show(ctx, name->name_time, log);
        return kOk;
    }
    if (all_digits(args.text) && args.text.size() >= 9 && args.text.size() <= 17) {
        // 2001..: seconds have 10 digits, milliseconds 13, microseconds 16.
        const std::int64_t n = std::stoll(args.text);
        const std::int64_t scale = args.text.size() <= 11   ? 1'000'000
                                   : args.text.size() <= 14 ? 1'000
                                                            : 1;
        show(ctx, WallTime{n * scale}, log);
        return kOk;
    }
    HD_ASSIGN(const WallTime t, parse_when(args.text, ctx.clock.wall()));
    show(ctx, t, log);
    return kOk;
}

}  // namespace

void add_time_verb(Frame& frame) {
    auto args = std::make_shared<TimeArgs>();
    CLI::App* sub = frame.verb(
        "Files and developers",
        {"time", "Translate a time into every notation we use", std::string(kWhenHelp) + R"(
Also unix seconds, milliseconds or microseconds, and the path of a clip. With --data (or a config)
clock.log adds the boot that was running and its BOOTTIME.

  halfdoor time 14:00
  halfdoor time clips/0b1f.../2026-11-22/130000.120000Z-9c01e2aa.clip
  halfdoor time --data DIR --boot 5e0c... 86400000000
)"});
    sub->add_option("time", args->text, "The time (default now)");
    sub->add_option("--boot", args->boot, "The time is BOOTTIME in microseconds of this boot");
    frame.on(sub, args, time_verb);
}

}  // namespace hd::cli
