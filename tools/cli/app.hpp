// The command line of `halfdoor`: one subcommand per verb, one source file per group of verbs.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "tools/cli/context.hpp"

namespace hd::cli {

// A verb's work. Its result is the exit code; an error is printed by the frame.
using Action = std::function<Result<int>(Context&)>;

// Where verbs are registered. The last parsed subcommand's action is what runs.
class Frame {
  public:
    explicit Frame(CLI::App& app) : app_(app) {}

    // What people read in --help.
    struct Words {
        std::string name;
        std::string summary;   // one line
        std::string teaching;  // paragraphs and examples, after the options
    };
    // A verb under the program, e.g. `halfdoor keygen`.
    CLI::App* verb(const std::string& group, const Words& words);
    // A verb under another, e.g. `halfdoor policy show`.
    CLI::App* sub_verb(CLI::App* parent, const Words& words);
    // `Args` outlives the parse: option variables of a verb live in it.
    template <typename Args>
    void on(CLI::App* sub, std::shared_ptr<Args> args, Result<int> (*work)(Context&, Args&)) {
        sub->callback([this, args, work] {
            chosen_ = [args, work](Context& ctx) { return work(ctx, *args); };
        });
    }
    const Action& chosen() const { return chosen_; }

  private:
    CLI::App& app_;
    Action chosen_;
};

void add_keygen_verb(Frame& frame);   // keygen
void add_card_verbs(Frame& frame);    // card
void add_init_verb(Frame& frame);     // init
void add_policy_verbs(Frame& frame);  // policy
void add_policy_edit_verb(Frame& frame, CLI::App* policy);
struct TrustOptions;
void add_trust_options(CLI::App* sub, TrustOptions& trust);
void add_time_verb(Frame& frame);        // time
void add_dump_verb(Frame& frame);        // dump
void add_check_verbs(Frame& frame);      // check, reindex
void add_open_verbs(Frame& frame);       // open, verify
void add_query_verbs(Frame& frame);      // status, cameras, clips
void add_hold_verbs(Frame& frame);       // hold, holds, unhold
void add_watch_verb(Frame& frame);       // watch
void add_owner_verbs(Frame& frame);      // requests, show, approve, dismiss
void add_approve_verb(Frame& frame);     // approve
void add_export_verb(Frame& frame);      // export
void add_activity_verb(Frame& frame);    // activity
void add_requester_verbs(Frame& frame);  // ask
void add_fetch_verb(Frame& frame);       // fetch

// Parses and runs. Never throws; prints errors to ctx.streams.err. The result is the exit code.
int run(Context& ctx, int argc, const char* const* argv);

}  // namespace hd::cli
