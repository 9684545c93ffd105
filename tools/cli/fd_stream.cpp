#include "tools/cli/fd_stream.hpp"

#include <cerrno>

#include <unistd.h>

namespace hd::cli {

FdBuffer::int_type FdBuffer::overflow(int_type c) {
    if (sync() != 0) return traits_type::eof();
    if (!traits_type::eq_int_type(c, traits_type::eof())) {
        *pptr() = traits_type::to_char_type(c);
        pbump(1);
    }
    return traits_type::not_eof(c);
}

int FdBuffer::sync() {
    const char* at = pbase();
    while (at < pptr()) {
        const ssize_t n = ::write(fd_, at, static_cast<std::size_t>(pptr() - at));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            setp(buffer_.data(), buffer_.data() + buffer_.size());
            return -1;
        }
        at += n;
    }
    setp(buffer_.data(), buffer_.data() + buffer_.size());
    return 0;
}

}  // namespace hd::cli
