// Names of the files in <data>/hub, and the hub's own note key as a file: made by `halfdoor init`,
// read by halfdoord. CURVE key files are gateway/wire/keys.hpp's.
//
// hub.key is one line: the 32-byte Ed25519 seed as 64 lowercase hex digits; mode 0600. Whoever has
// it can sign as this hub (answers, its card); it opens no video.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "gateway/ledger/card.hpp"
#include "gateway/ledger/person_keys.hpp"
#include "index/base/encoding.hpp"
#include "index/base/files.hpp"

namespace hd::ledger {

constexpr std::string_view kHubKeyFile = "hub.key";
constexpr std::string_view kHubCardFile = "hub.card";
constexpr std::string_view kOwnerCardFile = "owner.card";
// Only after `halfdoor init --owner-key-here`: `status` then warns that a thief of this hub can
// open the video.
constexpr std::string_view kOwnerKeyHereFile = "owner.key";
// A recovery recipient's card, if init was given one.
constexpr std::string_view kRecoveryCardFile = "recovery.card";
// CURVE secrets, one file for each endpoint.
constexpr std::string_view kOwnerCurveFile = "owner.curve";
constexpr std::string_view kDashboardCurveFile = "dashboard.curve";
constexpr std::string_view kEventsCurveFile = "events.curve";
constexpr std::string_view kRequesterCurveFile = "requester.curve";

// Atomic, mode 0600. Replaces an existing file.
inline Result<void> write_hub_seed(const std::string& path, const Secret<32>& seed) {
    std::string line = to_hex(seed.view()) + "\n";
    auto done = write_file_atomic(path, as_bytes(line), 0600);
    wipe({reinterpret_cast<std::uint8_t*>(line.data()), line.size()});
    return done;
}

// corrupt: not 64 lowercase hex digits and a newline. The error never repeats the text.
inline Result<Secret<32>> read_hub_seed(const std::string& path) {
    HD_ASSIGN(Bytes text, real_file_system().read(path, 256));
    Result<Secret<32>> out = Error{ErrorCode::corrupt, path + ": must be 64 lowercase hex digits"};
    if (text.size() == 65 && text.back() == '\n') {
        if (auto bytes = from_hex(as_text(text).substr(0, 64)); bytes) {
            Secret<32> seed;
            std::copy(bytes->begin(), bytes->end(), seed.mut().begin());
            wipe(*bytes);
            out = std::move(seed);
        }
    }
    wipe(text);
    return out;
}

// Whose clips these are, by the hub's card in <data>/hub.
inline Result<HubId> read_hub_id(FileSystem& fs, const std::string& folder) {
    HD_ASSIGN(const Bytes text, fs.read(join(folder, kHubCardFile), kMaxNoteBytes));
    HD_ASSIGN(const SignedCard card, parse_card(as_text(text)));
    return hub_id(card.card.note.key);
}

}  // namespace hd::ledger
