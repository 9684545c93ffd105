// A file that one process at a time holds with flock(2). The kernel lets go when that process ends,
// however it ends.
#pragma once

#include <string>

#include "index/base/files.hpp"

namespace hd::daemon {

class LockFile {
  public:
    // Creates the file (mode 0600) if missing. `refused`: somebody else holds it; the error names
    // the process id that it wrote into the file.
    static Result<LockFile> take(const std::string& path);
    // True: some process holds it now. False: nobody, or no such file. A hint: it may change at
    // once.
    static bool is_held(const std::string& path);

  private:
    explicit LockFile(Fd fd) : fd_(std::move(fd)) {}
    Fd fd_;
};

}  // namespace hd::daemon
