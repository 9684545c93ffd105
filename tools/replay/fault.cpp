#include "tools/replay/fault.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include <fmt/format.h>

namespace hd::replay {
namespace {

using K = FaultKind;
constexpr std::array kFacts{
    FaultFacts{K::stall, "stall", "SECONDS", false, false, "no frames for so long; they are lost"},
    FaultFacts{K::skip, "skip", "FRAMES", false, false, "so many frames are never sent"},
    FaultFacts{K::switch_pictures, "switch", "INPUT", false, false,
               "from now on the pictures of this input (1 is the first): another size"},
    FaultFacts{K::freeze, "freeze", "SECONDS", false, false,
               "the whole program stops; what was due meanwhile comes late, all at once"},
    FaultFacts{K::audio_stall, "audio-stall", "SECONDS", false, false,
               "no sound for so long; it is lost"},
    FaultFacts{K::audio_end, "audio-end", "", false, false, "no sound any more"},
    FaultFacts{K::audio_drift, "audio-drift", "PPM", true, false,
               "the times of the sound run so much too fast from now on"},
    FaultFacts{K::reset, "reset", "", false, false, "TCP connections end with RST"},
    FaultFacts{K::close, "close", "", false, false, "the camera hangs up (FIN)"},
    FaultFacts{K::loss, "loss", "PERCENT", false, true, "RTP packets are left out"},
    FaultFacts{K::reorder, "reorder", "PERCENT", false, true,
               "RTP packets come one to three places late"},
    FaultFacts{K::truncate, "truncate", "PERCENT", false, true, "RTP packets lose their end"},
    FaultFacts{K::garble, "garble", "PERCENT", false, true,
               "RTP payloads are overwritten with random bytes"},
    FaultFacts{K::rtpjump, "rtpjump", "SECONDS", true, false, "RTP timestamps jump by so much"},
    FaultFacts{K::drift, "drift", "PPM", true, true, "RTP timestamps run so much too fast"},
    FaultFacts{K::ntpjump, "ntpjump", "SECONDS", true, false,
               "the clock in the sender reports jumps by so much"},
    FaultFacts{K::nosr, "nosr", "", false, true, "no sender reports"},
    FaultFacts{K::noise, "noise", "BYTES", false, false,
               "so many random bytes between two packets on the TCP connection"},
    FaultFacts{K::refuse, "refuse", "SECONDS", false, false,
               "every request is answered 401, as if user and password were wrong"},
    FaultFacts{K::slow, "slow", "SECONDS", false, true, "every answer comes so much later"},
    FaultFacts{K::trickle, "trickle", "BYTES", false, true, "at most so many bytes a second"},
};

std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t comma = text.find(',');
        parts.push_back(text.substr(0, comma));
        if (comma == std::string_view::npos) return parts;
        text.remove_prefix(comma + 1);
    }
}

// Whatever the number means, more than this is a mistake, and its microseconds fit 63 bits.
constexpr double kMost = 1e9;

bool parse_number(std::string_view text, bool negative, double& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size() && std::abs(out) <= kMost &&
           (negative || out >= 0);
}

Micros seconds(double s) { return Micros(static_cast<std::int64_t>(s * 1e6)); }

// `parts` without AT: CAMERA,KIND[,AMOUNT[,FOR]]
Result<Fault> parse(std::span<const std::string_view> parts) {
    const auto wrong = [](std::string rule) { return Error{ErrorCode::invalid, std::move(rule)}; };
    Fault fault;
    fault.camera = parts[0];
    const FaultFacts* facts = nullptr;
    std::string names;
    for (const FaultFacts& f : kFacts) {
        names += (names.empty() ? "" : ", ") + std::string(f.name);
        if (parts[1] == f.name) facts = &f;
    }
    if (!facts) return wrong("KIND must be one of " + names);
    fault.kind = facts->kind;
    std::size_t next = 2;
    if (*facts->amount) {
        if (parts.size() < 3) return wrong(fmt::format("this kind needs {}", facts->amount));
        if (!parse_number(parts[next++], facts->negative, fault.amount))
            return wrong(fmt::format("{} must be a number{}", facts->amount,
                                     facts->negative ? "" : ", 0 or more"));
    }
    if (parts.size() > next && facts->lasts) {
        double span = 0;
        if (!parse_number(parts[next++], false, span) || span == 0)
            return wrong("FOR must be seconds, over 0");
        fault.span = seconds(span);
    }
    if (parts.size() > next) return wrong("too many parts for this kind");
    return fault;
}

Result<Fault> named(Result<Fault> parsed, std::string_view text) {
    if (parsed) return parsed;
    return Error{parsed.error().code, fmt::format("fault {}: {}", text, parsed.error().what)};
}

}  // namespace

std::span<const FaultFacts> fault_facts() { return kFacts; }

const FaultFacts& facts_of(FaultKind kind) {
    for (const FaultFacts& f : kFacts)
        if (f.kind == kind) return f;
    return kFacts[0];
}

bool needs_relay(FaultKind kind) { return kind >= FaultKind::noise; }

Result<Fault> parse_fault(std::string_view text) {
    std::vector<std::string_view> parts = split(text);
    double at = 0;
    if (parts.size() < 3)
        return Error{ErrorCode::invalid,
                     fmt::format("fault {}: must be CAMERA,KIND,AT[,AMOUNT[,FOR]]", text)};
    if (!parse_number(parts[2], false, at))
        return Error{ErrorCode::invalid,
                     fmt::format("fault {}: AT must be seconds, 0 or more", text)};
    parts.erase(parts.begin() + 2);
    HD_ASSIGN(Fault fault, named(parse(parts), text));
    fault.at = seconds(at);
    return fault;
}

Result<Fault> parse_command(std::string_view text) {
    const std::vector<std::string_view> parts = split(text);
    if (parts.size() < 2)
        return Error{ErrorCode::invalid,
                     fmt::format("fault {}: must be CAMERA,KIND[,AMOUNT[,FOR]]", text)};
    return named(parse(parts), text);
}

}  // namespace hd::replay
