#include "tests/gateway/household.hpp"

#include "index/seal/piece_stanza.hpp"

namespace hd::test {

Secret<32> secret_of(std::uint8_t fill) {
    Secret<32> out;
    for (std::uint8_t& b : out.mut()) b = fill;
    return out;
}

seal::Identity identity_of(std::uint8_t fill) {
    return seal::identity_from_secret(secret_of(fill));
}

CameraId camera_of(std::uint8_t fill) {
    CameraId id;
    id.bytes.fill(fill);
    return id;
}

ClipId clip_id_of(std::uint8_t fill) {
    ClipId id;
    id.bytes.fill(fill);
    return id;
}

WallTime at(std::string_view rfc3339) { return parse_rfc3339(rfc3339).value(); }

consent::ClipBundle RecordedClip::bundle() const {
    consent::ClipBundle out{header_bytes, {}};
    for (const Piece& p : pieces) {
        const auto end = p.age.begin() + static_cast<std::ptrdiff_t>(p.age_header_size);
        out.pieces.push_back({p.identity_bytes, Bytes(p.age.begin(), end)});
    }
    return out;
}

std::vector<clip::PieceIdentity> RecordedClip::identities() const {
    std::vector<clip::PieceIdentity> out;
    for (const Piece& p : pieces) out.push_back(p.identity);
    return out;
}

Household::Household()
    : owner_secret(secret_of(1)),
      requester_secret(secret_of(2)),
      approver_secret(secret_of(3)),
      stranger_secret(secret_of(4)),
      hub_seed(secret_of(9)),
      owner(ledger::person_signer(owner_secret, ledger::CardKind::owner)),
      approver(ledger::person_signer(approver_secret, ledger::CardKind::approver)),
      hub(ledger::hub_signer(hub_seed)),
      hub_id(ledger::hub_id(hub.key().key)),
      owner_card(
          ledger::make_person_card(owner_secret, ledger::CardKind::owner, "Anna Owner").value()),
      requester_card(
          ledger::make_person_card(requester_secret, ledger::CardKind::requester, "County Police")
              .value()),
      approver_card(
          ledger::make_person_card(approver_secret, ledger::CardKind::approver, "Ben").value()),
      front(camera_of(0xA1)),
      yard(camera_of(0xA2)),
      nursery(camera_of(0xA3)),
      now(at("2026-11-22T14:00:00Z")),
      window{at("2026-11-22T12:00:00Z"), at("2026-11-22T13:00:00Z")},
      policy(consent::first_policy(hub_id, owner_card).value()) {
    policy.cameras = {front, yard};
    policy.cell = consent::cell_of(40.71, -74.01).value();
    policy.requesters = {
        consent::requester_from_card(requester_card, "county police", consent::Level::clips)
            .value()};
    policy.approvers = {consent::approver_from_card(approver_card, "Ben").value()};
    sign_policy_again();
}

void Household::sign_policy_again() { signed_policy = consent::sign_policy(policy, owner).value(); }

consent::Asking Household::asking() const {
    return {.hub = hub_id,
            .offence = consent::Offence::burglary,
            .window = window,
            .area = consent::square_around(40.71, -74.01, 800),
            .now = now,
            .case_number = "2026-11/0042",
            .contact = "desk@police.example",
            .text = "Break-in at the bakery."};
}

consent::MadeRequest Household::ask() const {
    return consent::make_request(asking(), requester_secret).value();
}

consent::IntakeContext Household::intake(const ledger::RequestBook& book) const {
    return {.policy = policy,
            .who = policy.requesters.front(),
            .book = book,
            .now = now,
            .hub_secret = hub_seed.view()};
}

RecordedClip Household::record(CameraId camera, ClipId id, WallTime begin,
                               std::uint32_t pieces) const {
    RecordedClip out;
    out.header = {.clip = id,
                  .camera = camera,
                  .hub = hub_id,
                  .run = RunId{7},
                  .boot_begin = {1'000'000},
                  .utc_begin = begin,
                  .codec = "avc1.4D401F",
                  .width = 1280,
                  .height = 720,
                  .encoder = "camera",
                  .encoder_why = "test",
                  .policy_number = policy.number,
                  .policy_hash = signed_policy.hash};
    out.header_bytes = clip::encode_header(out.header);
    const std::vector<seal::Recipient> recipients = policy.recipient_keys();
    for (std::uint32_t n = 0; n <= pieces; ++n) {
        RecordedClip::Piece p;
        const bool init = n == 0;
        const WallTime from = begin + std::chrono::seconds(init ? 0 : n - 1);
        const WallTime to = init ? from : from + std::chrono::seconds(1);
        p.identity = {
            .camera = camera,
            .clip = id,
            .sequence = n,
            .kind = init ? clip::PieceKind::init : clip::PieceKind::video,
            .boot_begin = {from.us - begin.us + 1'000'000},
            .boot_end = {to.us - begin.us + 1'000'000},
            .utc_begin = from,
            .utc_end = to,
            .frames = init ? 0u : 25u,
            .start = !init && n % 2 == 1 ? clip::PieceStart::idr : clip::PieceStart::none};
        p.identity_bytes = clip::encode_identity(p.identity);
        const std::string text = "video of " + to_string(camera) + " piece " + std::to_string(n);
        p.plain.assign(text.begin(), text.end());
        const auto stanza = seal::make_piece_stanza(out.header_bytes, p.identity_bytes);
        p.age = seal::seal(p.plain, recipients, std::span(&stanza, 1)).value();
        p.age_header_size = seal::parse_header(p.age).value().size;
        out.pieces.push_back(std::move(p));
    }
    return out;
}

TakenRequest take_request(const Household& home) {
    TakenRequest out{home.ask(), {}};
    const auto intake = consent::judge_request(home.intake(out.book), out.made.request.bytes,
                                               out.made.private_body);
    HD_CHECK(intake.kind == consent::Intake::Kind::take);
    HD_CHECK(out.book.apply(ledger::encode_taken(intake.entry)).ok());
    return out;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from);
    HD_CHECK(at != text.npos && text.find(from, at + 1) == text.npos);
    return text.replace(at, from.size(), to);
}

std::string text_of(std::string_view note) { return ledger::parse_note(note).value().text; }

}  // namespace hd::test
