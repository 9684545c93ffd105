// How far a long piece of work is: one line that rewrites itself on a terminal, else a line every
// five seconds. Nothing is said about work that takes under a second.
#pragma once

#include <cstdint>
#include <string>

#include "tools/cli/context.hpp"

namespace hd::cli {

class Progress {
  public:
    // `ctx` must outlive it. total 0: not known.
    Progress(Context& ctx, std::string what, std::uint64_t total);
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    // Cheap; may be called for each item.
    void update(std::uint64_t done);

  private:
    void print(std::uint64_t done);
    Context& ctx_;
    std::string what_;
    std::uint64_t total_;
    BootTime began_;
    BootTime next_;
    bool printed_ = false;
};

}  // namespace hd::cli
