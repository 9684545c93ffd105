// Result<T>: a value or an Error. The one error vocabulary of every room.
//
// An alias for tl::expected would drop silently when ignored (tl::expected 1.0 is not
// [[nodiscard]]), so this is a thin [[nodiscard]] class around it. See
// docs/decisions/0001-result.md.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <tl/expected.hpp>

#include "index/base/check.hpp"

namespace hd {

// Few codes, each leading to a different action of the caller.
enum class ErrorCode {
    not_found,    // it is not there: a normal answer for many callers
    corrupt,      // bytes are not what they must be: skip this item, report it, go on
    unavailable,  // may work later: retry, with a back-off
    exhausted,    // a limit is reached (disk, memory, queue, quota): shed or wait
    invalid,      // the caller's input breaks a rule: tell them which
    refused,      // a key, signature or role does not allow it
};

std::string_view to_string(ErrorCode code);

struct Error {
    ErrorCode code = ErrorCode::invalid;
    std::string what;  // a whole phrase that names the field, file or byte, and the rule

    // The same error with "where: " put before it.
    Error in(std::string_view where) const& { return {code, std::string(where) + ": " + what}; }
};

template <typename T>
class [[nodiscard]] Result {
  public:
    using value_type = T;

    Result(T value) : inner_(std::move(value)) {}                    // NOLINT: implicit by design
    Result(Error error) : inner_(tl::unexpect, std::move(error)) {}  // NOLINT: implicit by design

    bool ok() const { return inner_.has_value(); }
    explicit operator bool() const { return ok(); }

    T& value() & {
        HD_CHECK(ok());
        return *inner_;
    }
    const T& value() const& {
        HD_CHECK(ok());
        return *inner_;
    }
    // By value, so that `for (x : f().value())` does not walk over something that is gone.
    T value() && {
        HD_CHECK(ok());
        return std::move(*inner_);
    }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    T value_or(T other) && { return ok() ? std::move(*inner_) : std::move(other); }

    const Error& error() const {
        HD_CHECK(!ok());
        return inner_.error();
    }

    template <typename F>
    auto map(F&& f) && -> Result<std::invoke_result_t<F, T&&>> {
        if (!ok()) return error();
        return f(std::move(*inner_));
    }
    template <typename F>
    auto and_then(F&& f) && -> std::invoke_result_t<F, T&&> {
        if (!ok()) return error();
        return f(std::move(*inner_));
    }

  private:
    tl::expected<T, Error> inner_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    using value_type = void;

    Result() = default;
    Result(Error error) : inner_(tl::unexpect, std::move(error)) {}  // NOLINT: implicit by design

    bool ok() const { return inner_.has_value(); }
    explicit operator bool() const { return ok(); }
    const Error& error() const {
        HD_CHECK(!ok());
        return inner_.error();
    }
    // Says in the code that a failure here changes nothing for the caller.
    void ignore() const {}

  private:
    tl::expected<void, Error> inner_;
};

// Evaluates to nothing on success and returns the error of the enclosing function otherwise.
#define HD_TRY(expr)                                                 \
    do {                                                             \
        if (auto hd_try_ = (expr); !hd_try_) return hd_try_.error(); \
    } while (false)

// HD_ASSIGN(auto x, f()): x gets the value, or the enclosing function returns the error.
#define HD_CONCAT_(a, b) a##b
#define HD_CONCAT(a, b) HD_CONCAT_(a, b)
#define HD_ASSIGN(decl, expr) HD_ASSIGN_IMPL_(HD_CONCAT(hd_res_, __LINE__), decl, expr)
#define HD_ASSIGN_IMPL_(tmp, decl, expr) \
    auto tmp = (expr);                   \
    if (!tmp) return tmp.error();        \
    decl = std::move(tmp).value()

}  // namespace hd
