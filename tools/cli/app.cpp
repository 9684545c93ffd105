#include "tools/cli/app.hpp"

#include <fmt/format.h>

namespace hd::cli {
namespace {

const char* const kProgramHelp =
    "Halfdoor records cameras into files that only the owner can open, and answers who asks with\n"
    "when and which, never with video, until the owner approves.\n";

const char* const kProgramFooter =
    R"(Start here, on the hub:
  halfdoor keygen -o owner.key          your secret; keep it off the hub
  halfdoor card make --key owner.key --kind owner --name "Ada" -o owner.card
  halfdoor init --owner-card owner.card --data /var/lib/halfdoor --camera door=rtsp://10.0.0.7/main
  halfdoord --config halfdoor.toml
  halfdoor status

Exit codes: 0 done; 1 no (refused, not there, or a check found something); 2 the command line,
config or a given file breaks a rule; 3 hub or disk did not answer; 4 damaged data; 5 a limit
(disk, quota). `halfdoor VERB --help` teaches each verb; docs/cli.md has them all.)";

void add_common_options(CLI::App& app, CommonOptions& opt) {
    app.add_option("--config", opt.config,
                   "Config file (default ./halfdoor.toml, then /etc/halfdoor/halfdoor.toml)")
        ->envname("HALFDOOR_CONFIG");
    app.add_option("--data", opt.data, "Data folder (default: the config's)");
    app.add_option("--connect", opt.connect,
                   "Address of the hub, ipc://... or tcp://host:port (default: the runtime "
                   "folder's socket)");
    app.add_option("--hub-card", opt.hub_card, "The hub's card (default: the data folder's)");
    app.add_option("--key", opt.key,
                   "File with your AGE-SECRET-KEY-1 line; - reads it from standard input")
        ->envname("HALFDOOR_KEY");
    app.add_option("--state", opt.state,
                   "Folder where this tool remembers hubs (default ~/.config/halfdoor)");
    app.add_option("--timeout", opt.timeout_s, "Seconds to wait for an answer (default 10)")
        ->check(CLI::Range(1, 3600));
    app.add_flag("--json", opt.json, "Print JSON, one object a line");
    app.add_flag("--tsv", opt.tsv, "Print tab-separated values with a header line");
    app.add_flag("--yes", opt.yes, "Answer yes to questions");
    app.add_flag("-q,--quiet", opt.quiet, "No remarks and no progress on standard error");
}

void print_error(Context& ctx, const Error& error) {
    ctx.out.flush();
    if (ctx.opt.json) {
        const auto cut = error.what.find("\n  next: ");
        Json object{{"code", to_string(error.code)}, {"what", error.what.substr(0, cut)}};
        if (cut != std::string::npos) object["next"] = error.what.substr(cut + 9);
        ctx.streams.err << Json{{"error", object}}.dump(-1, ' ', false,
                                                        Json::error_handler_t::replace)
                        << '\n';
        return;
    }
    ctx.streams.err << "halfdoor: " << error.what << '\n';
}

}  // namespace

CLI::App* Frame::verb(const std::string& group, const Words& words) {
    CLI::App* sub = app_.add_subcommand(words.name, words.summary);
    sub->group(group);
    sub->fallthrough();
    sub->footer("\n" + words.teaching +
                "\nCommon options (--data, --connect, --key, --json ...): halfdoor --help");
    return sub;
}

CLI::App* Frame::sub_verb(CLI::App* parent, const Words& words) {
    CLI::App* sub = parent->add_subcommand(words.name, words.summary);
    sub->fallthrough();
    sub->footer("\n" + words.teaching +
                "\nCommon options (--data, --connect, --key, --json ...): halfdoor --help");
    return sub;
}

int run(Context& ctx, int argc, const char* const* argv) {
    CLI::App app{kProgramHelp, "halfdoor"};
    app.footer(std::string("\n") + kProgramFooter);
    app.set_version_flag("--version", "halfdoor " HALFDOOR_VERSION);
    app.require_subcommand(1);
    app.get_formatter()->column_width(34);
    add_common_options(app, ctx.opt);
    Frame frame(app);
    add_keygen_verb(frame);
    add_card_verbs(frame);
    add_init_verb(frame);
    add_policy_verbs(frame);
    add_query_verbs(frame);
    add_hold_verbs(frame);
    add_owner_verbs(frame);
    add_export_verb(frame);
    add_activity_verb(frame);
    add_requester_verbs(frame);
    add_open_verbs(frame);
    add_check_verbs(frame);
    add_dump_verb(frame);
    add_time_verb(frame);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e, ctx.streams.out, ctx.streams.err) == 0 ? kOk : kUsage;
    }
    if (ctx.opt.json && ctx.opt.tsv) {
        print_error(ctx, {ErrorCode::invalid, "--json and --tsv exclude each other"});
        return kUsage;
    }
    ctx.out.set_format(ctx.opt.json ? Format::json : ctx.opt.tsv ? Format::tsv : Format::text);
    const Result<int> done = frame.chosen()(ctx);
    ctx.out.flush();
    if (!done) {
        print_error(ctx, done.error());
        return exit_for(done.error().code);
    }
    return *done;
}

}  // namespace hd::cli
