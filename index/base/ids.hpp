// Random 128-bit names, one type per thing that is named. Written as 32 lowercase hex digits.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "index/base/bytes.hpp"
#include "index/base/result.hpp"

namespace hd {

template <typename Tag>
struct Id {
    std::array<std::uint8_t, 16> bytes{};
    auto operator<=>(const Id&) const = default;
    bool is_zero() const { return *this == Id{}; }
};

using CameraId = Id<struct CameraTag>;  // permanent, random; the name beside it may change
using ClipId = Id<struct ClipTag>;      // random, one per clip file
using BootId = Id<struct BootTag>;      // the kernel's /proc/sys/kernel/random/boot_id
using HubId = Id<struct HubTag>;        // first 16 bytes of SHA-256 of the hub's Ed25519 public key
using RequestId = Id<struct RequestTag>;  // first 16 bytes of SHA-256 of the request note

std::string hex_id(const std::array<std::uint8_t, 16>& bytes);
Result<std::array<std::uint8_t, 16>> parse_hex_id(std::string_view text, std::string_view what);
std::array<std::uint8_t, 16> random_id_bytes();

template <typename Tag>
std::string to_string(const Id<Tag>& id) {
    return hex_id(id.bytes);
}
template <typename IdType>
IdType random_id() {
    return IdType{random_id_bytes()};
}
// `what` names the field in the error.
template <typename IdType>
Result<IdType> parse_id(std::string_view text, std::string_view what) {
    HD_ASSIGN(auto bytes, parse_hex_id(text, what));
    return IdType{bytes};
}

// One unbroken stretch of receiving from one camera: random, so that a reconnect can never collide.
struct RunId {
    std::uint32_t value = 0;
    auto operator<=>(const RunId&) const = default;
};
RunId random_run_id();
std::string to_string(RunId run);  // 8 lowercase hex digits
Result<RunId> parse_run_id(std::string_view text);

}  // namespace hd
