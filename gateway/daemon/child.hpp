// Starting a program with a clean environment, in a session of its own, so that it does not die
// with us and no terminal signal reaches it; if wanted as another user.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "index/base/files.hpp"
#include "index/base/result.hpp"

namespace hd::daemon {

struct ChildUser {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;  // empty: it keeps ours, because we may not change them
};

struct ChildPlan {
    std::string program;                         // absolute path
    std::vector<std::string> args;               // without argv[0]; never a secret
    std::vector<std::string> extra_environment;  // NAME=value, e.g. GST_REGISTRY for recorders
    std::optional<ChildUser> user;               // ours without; its files are its group's too
};

// The child's process id. Its environment is PATH, HOME, LANG, TZ as far as we have them, and
// extra_environment; all its signals are back to default; standard error is ours, nothing else is
// open.
Result<pid_t> start_child(const ChildPlan& plan);

// As exec wants them: each text, then a null. Valid as long as `texts` is.
std::vector<char*> exec_texts(std::vector<std::string>& texts);

// A running program by a handle that cannot come to mean another process (pidfd_open(2)). Works
// for our own children and for recorders that an earlier daemon started.
class ProcessHandle {
  public:
    // not_found: there is no such process any more.
    static Result<ProcessHandle> of(pid_t pid);
    pid_t pid() const { return pid_; }
    int fd() const { return fd_.get(); }  // readable when the process has ended
    bool ended() const;
    void signal(int number) const;
    // "exit code 3", "signal 9 (Killed)"; reaps our own child. "ended" for one that was not ours.
    std::string reap() const;

  private:
    ProcessHandle(pid_t pid, Fd fd) : pid_(pid), fd_(std::move(fd)) {}
    pid_t pid_;
    Fd fd_;
};

// False before Linux 5.4, which waits for children by such handles.
bool kernel_can_watch_children();

// Where `name` is: in `folder` if given, beside our own executable, or in ../libexec/halfdoor of
// it. not_found lists where it looked.
Result<std::string> find_program(const std::string& name, const std::string& folder);

}  // namespace hd::daemon
