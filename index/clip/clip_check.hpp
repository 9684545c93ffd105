// Says what is wrong with a clip file: each problem with its byte and the rule that it breaks.
#pragma once

#include <string>
#include <vector>

#include "index/base/files.hpp"
#include "index/clip/clip_format.hpp"

namespace hd::clip {

enum class CheckLevel {
    presence,  // the file is there
    size,      // its footer is whole and says this size (one read)
    hash,      // every byte belongs to something, and every age file has its SHA-256
};

struct ClipProblem {
    std::uint64_t at_byte = 0;
    std::string rule;
};

struct ClipCheck {
    bool present = false;
    bool finished = false;  // has a footer; a ".part" without one is no problem
    std::uint64_t size_bytes = 0;
    std::uint32_t pieces = 0;           // whole ones seen at level hash, else what the footer says
    std::vector<ClipProblem> problems;  // at most kMaxProblems
    bool good() const { return problems.empty(); }
};
constexpr std::size_t kMaxProblems = 32;

// Never fails: what cannot be read is a problem.
ClipCheck check_clip(FileSystem& fs, const std::string& path, CheckLevel level);

}  // namespace hd::clip
