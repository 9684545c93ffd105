#include "tools/cli/where.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "gateway/config/config.hpp"

namespace hd::cli {
namespace {

std::string absolute(const std::string& path) {
    std::error_code failed;
    const auto full = std::filesystem::weakly_canonical(path, failed);
    return failed ? path : full.string();
}

Result<config::Config> load_config(const std::string& path) {
    config::ReadConfig read = config::read_config(path);
    if (!read.ok())
        return with_next(Error{ErrorCode::invalid, config::errors_text(read)},
                         "correct the config, or give --data FOLDER");
    return std::move(read.config);
}

}  // namespace

Result<std::string> find_config(Context& ctx) {
    FileSystem& fs = real_file_system();
    if (!ctx.opt.config.empty()) {
        if (!fs.exists(ctx.opt.config))
            return Error{ErrorCode::invalid, "--config " + ctx.opt.config + ": no such file"};
        return ctx.opt.config;
    }
    for (const std::string& path :
         {std::string("halfdoor.toml"), std::string(config::kDefaultConfigPath)})
        if (fs.exists(path)) return path;
    return with_next(
        Error{ErrorCode::invalid, fmt::format("no config: neither ./halfdoor.toml nor {} is there",
                                              config::kDefaultConfigPath)},
        "give --config FILE or --data FOLDER, or make both with `halfdoor init`");
}

Result<Folders> find_folders(Context& ctx) {
    const auto path = find_config(ctx);
    if (ctx.opt.data.empty()) {
        if (!path) return path.error();
        HD_ASSIGN(const config::Config config, load_config(*path));
        return Folders{config.hub.data_folder, config.hub.runtime_folder, *path};
    }
    Folders out{ctx.opt.data, join(ctx.opt.data, "run"), {}};
    if (!path) {
        if (!ctx.opt.config.empty()) return path.error();
        return out;
    }
    // A config that happens to lie here may be another hub's: then it says nothing about --data.
    const auto config = load_config(*path);
    if (!config && !ctx.opt.config.empty()) return config.error();
    if (config && absolute(config->hub.data_folder) == absolute(ctx.opt.data)) {
        out.runtime = config->hub.runtime_folder;
        out.config = *path;
    }
    return out;
}

Result<std::string> find_data_folder(Context& ctx) {
    if (!ctx.opt.data.empty()) return ctx.opt.data;
    HD_ASSIGN(const Folders folders, find_folders(ctx));
    return folders.data;
}

std::string hub_file(const std::string& data, std::string_view name) {
    return join(join(data, "hub"), name);
}

}  // namespace hd::cli
