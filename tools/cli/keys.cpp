// keygen: makes the one secret of a person or agency.
#include "tools/cli/keys.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "tools/cli/app.hpp"

namespace hd::cli {
namespace {

constexpr std::uint64_t kMaxKeyFileBytes = 64 * 1024;

struct KeygenArgs {
    std::string output = "halfdoor.key";
    bool force = false;
};

Result<void> write_key(Context& ctx, const KeygenArgs& args, const seal::Identity& identity) {
    const WallTime now = ctx.clock.wall();
    if (!args.force) {
        auto written = seal::write_key_file(args.output, identity, now);
        if (!written && real_file_system().exists(args.output))
            return with_next(Error{ErrorCode::invalid, args.output + " exists already"},
                             "choose another name with -o; --force replaces the file, and what "
                             "only that key opens is then lost for good");
        return written;
    }
    const std::string fresh = args.output + ".new";
    HD_TRY(seal::write_key_file(fresh, identity, now));
    HD_TRY(real_file_system().rename(fresh, args.output));
    return real_file_system().sync_folder(parent_folder(args.output));
}

Result<int> keygen(Context& ctx, KeygenArgs& args) {
    const seal::Identity identity = seal::generate_identity();
    const std::string recipient = seal::to_string(identity.recipient);
    if (args.output == "-") {
        const auto text = seal::identity_text(identity);
        ctx.out.raw(fmt::format("# public key: {}\n", recipient));
        ctx.out.raw(as_text(text.view()));
        ctx.out.raw("\n");
        ctx.note("Public key: " + recipient);
        return kOk;
    }
    HD_TRY(write_key(ctx, args, identity));
    ctx.out.facts({{"key_file", args.output}, {"recipient", recipient}});
    ctx.note(fmt::format(
        "This file is the only thing that opens what is sealed to it: keep it off the hub, and "
        "keep a copy.\nProtect it with a passphrase:  age -p -o {0}.age {0} && shred -u {0}\n"
        "Use it then with:              age -d {0}.age | halfdoor ... --key -\n"
        "  next: halfdoor card make --key {0} --kind owner --name \"Your Name\"",
        args.output));
    return kOk;
}

}  // namespace

Result<seal::Identity> load_identity(Context& ctx) {
    if (ctx.opt.key.empty())
        return with_next(Error{ErrorCode::invalid, "this needs your secret key"},
                         "add --key FILE (made by `halfdoor keygen`), or pipe it in with --key -");
    HD_ASSIGN(std::string text, read_text(ctx, ctx.opt.key, "--key", kMaxKeyFileBytes));
    auto keys = seal::parse_key_file(text);
    wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    if (!keys) return keys.error().in("--key " + ctx.opt.key);
    if (keys->size() != 1)
        return with_next(Error{ErrorCode::invalid,
                               fmt::format("--key {} holds {} keys", ctx.opt.key, keys->size())},
                         "keep one AGE-SECRET-KEY-1 line a file: cards and policies need to know "
                         "which one you are");
    return std::move(keys->front());
}

void add_keygen_verb(Frame& frame) {
    auto args = std::make_shared<KeygenArgs>();
    CLI::App* sub = frame.verb(
        "Keys and consent",
        {"keygen", "Make a secret key",
         R"(Makes one stock age key (AGE-SECRET-KEY-1...). It is all the secret a person or agency
has: the signing key and the ZeroMQ key are derived from it. Make it on your own device.

  halfdoor keygen -o owner.key
  halfdoor keygen -o - | age -p -o owner.key.age      never on disk in the open
)"});
    sub->add_option("-o,--output", args->output,
                    "Key file to write, mode 0600 (default halfdoor.key); - prints it");
    sub->add_flag("--force", args->force, "Replace an existing file");
    frame.on(sub, args, keygen);
}

}  // namespace hd::cli
