// `halfdoor`: the one command line tool of owners, requesters and developers.
#include <csignal>
#include <iostream>

#include <unistd.h>

#include "index/base/log.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/fd_stream.hpp"

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);  // `halfdoor clips | head` ends with a failed write, not a kill
    hd::log::set_program("halfdoor");
    hd::log::set_level(hd::log::Level::error);
    hd::cli::FdBuffer out_buffer(STDOUT_FILENO), err_buffer(STDERR_FILENO);
    std::ostream out(&out_buffer), err(&err_buffer);
    err << std::unitbuf;
    hd::cli::Streams streams{std::cin, out, err, ::isatty(STDIN_FILENO) == 1,
                             ::isatty(STDERR_FILENO) == 1};
    hd::cli::Context ctx(streams, hd::system_clock());
    return hd::cli::run(ctx, argc, argv);
}
