// A std::ostream over a file descriptor that stays open: the program's standard output and error.
// Lines leave on flush; a failed write (a closed pipe) sets badbit.
#pragma once

#include <array>
#include <ostream>
#include <streambuf>

namespace hd::cli {

class FdBuffer final : public std::streambuf {
  public:
    explicit FdBuffer(int fd) : fd_(fd) { setp(buffer_.data(), buffer_.data() + buffer_.size()); }
    ~FdBuffer() override { sync(); }
    FdBuffer(const FdBuffer&) = delete;
    FdBuffer& operator=(const FdBuffer&) = delete;

  protected:
    int_type overflow(int_type c) override;
    int sync() override;

  private:
    int fd_;
    std::array<char, 16 * 1024> buffer_{};
};

}  // namespace hd::cli
