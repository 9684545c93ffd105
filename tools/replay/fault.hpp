// What can be made to go wrong, and how it is asked for. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "index/base/result.hpp"
#include "index/base/time.hpp"

namespace hd::replay {

enum class FaultKind : std::uint8_t {
    // The camera itself.
    stall,
    skip,
    switch_pictures,
    freeze,
    // Its sound alone.
    audio_stall,
    audio_end,
    audio_drift,
    // Its connections.
    reset,
    close,
    // Its RTP packets of video, before TCP or UDP takes them.
    loss,
    reorder,
    truncate,
    garble,
    rtpjump,
    drift,
    // Its sender reports.
    ntpjump,
    nosr,
    // The bytes of its RTSP connections (TCP).
    noise,
    refuse,
    slow,
    trickle,
};

struct Fault {
    std::string camera;  // its name, or its number from 1 in the list
    FaultKind kind = FaultKind::stall;
    Micros at{0};       // from the start of the program
    double amount = 0;  // what it means depends on the kind
    Micros span{0};     // how long it lasts; 0: for good
};

struct FaultFacts {
    FaultKind kind;
    const char* name;
    const char* amount;  // what AMOUNT is; empty: there is none
    bool negative;       // AMOUNT may be below 0
    bool lasts;          // takes FOR
    const char* help;
};
std::span<const FaultFacts> fault_facts();
const FaultFacts& facts_of(FaultKind kind);
// These are done by a relay in front of the server.
bool needs_relay(FaultKind kind);

// "CAMERA,KIND,AT[,AMOUNT[,FOR]]", seconds each. invalid: names the fault and the rule.
Result<Fault> parse_fault(std::string_view text);
// The same without AT, for a fault that happens now.
Result<Fault> parse_command(std::string_view text);

}  // namespace hd::replay
