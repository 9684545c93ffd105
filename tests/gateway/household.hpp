// A household for the tests of consent: fixed keys, a policy, and clips sealed for real.
#pragma once

#include <string>
#include <vector>

#include "gateway/consent/approval.hpp"
#include "gateway/consent/release.hpp"

namespace hd::test {

Secret<32> secret_of(std::uint8_t fill);
seal::Identity identity_of(std::uint8_t fill);
CameraId camera_of(std::uint8_t fill);
ClipId clip_id_of(std::uint8_t fill);
WallTime at(std::string_view rfc3339);

// A clip as the recorder writes it, in parts. Piece 0 is `init`, then pieces of one second; every
// second one begins with an IDR.
struct RecordedClip {
    clip::ClipHeader header;
    Bytes header_bytes;
    struct Piece {
        clip::PieceIdentity identity;
        Bytes identity_bytes, plain, age;
        std::size_t age_header_size = 0;
    };
    std::vector<Piece> pieces;

    consent::ClipBundle bundle() const;
    std::vector<clip::PieceIdentity> identities() const;
};

// Keys are fixed: owner 1, requester 2, approver 3, stranger 4; hub seed 9.
struct Household {
    Household();

    Secret<32> owner_secret, requester_secret, approver_secret, stranger_secret, hub_seed;
    ledger::NoteSigner owner, approver, hub;
    HubId hub_id;
    ledger::SignedCard owner_card, requester_card, approver_card;
    CameraId front, yard, nursery;  // the nursery may not be asked about
    WallTime now;                   // 2026-11-22T14:00:00Z
    TimeSpan window;                // 12:00 to 13:00
    consent::Policy policy;         // level clips, a cell, minimum age one hour
    consent::SignedPolicy signed_policy;

    void sign_policy_again();
    consent::Asking asking() const;
    consent::MadeRequest ask() const;
    consent::IntakeContext intake(const ledger::RequestBook& book) const;
    RecordedClip record(CameraId camera, ClipId clip, WallTime begin, std::uint32_t pieces) const;
};

// A request that was taken in: the book has it.
struct TakenRequest {
    consent::MadeRequest made;
    ledger::RequestBook book;
};
TakenRequest take_request(const Household& home);

// Replaces the only occurrence of `from`; fails the test run if there is not exactly one.
std::string replaced(std::string text, std::string_view from, std::string_view to);
// The text of a note, signed anew, so that only the reader's own rules can refuse it.
std::string text_of(std::string_view note);

}  // namespace hd::test
