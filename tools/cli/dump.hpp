// Any of our files as JSON lines: what `halfdoor dump` prints, one function a kind.
#pragma once

#include <functional>
#include <string>

#include "index/clip/clip_reader.hpp"
#include "index/seal/age_header.hpp"
#include "tools/cli/context.hpp"

namespace hd::cli {

// How deep a dump looks.
struct DumpDepth {
    bool hashes = false;   // clips: read every age file and compare its SHA-256
    bool headers = false;  // clips: the age header of each piece too
};

// Exit code 0 if everything was whole, 4 if a part is damaged (which part is in the lines).
Result<int> dump_clip(Context& ctx, const std::string& path, DumpDepth depth);
Result<int> dump_journal(Context& ctx, const std::string& path, std::string_view kind);
Result<int> dump_age(Context& ctx, const std::string& path);
Result<int> dump_note(Context& ctx, const std::string& path);

Json age_header_json(const seal::ParsedHeader& parsed);

}  // namespace hd::cli
