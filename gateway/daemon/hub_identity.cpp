#include "gateway/daemon/hub_identity.hpp"

#include "gateway/ledger/hub_folder.hpp"

namespace hd::daemon {

Result<HubIdentity> read_hub_identity(FileSystem& fs, const std::string& data_folder) {
    const std::string folder = join(data_folder, "hub");
    HD_ASSIGN(Secret<32> seed, ledger::read_hub_seed(join(folder, ledger::kHubKeyFile)));
    const std::string owner_path = join(folder, ledger::kOwnerCardFile);
    HD_ASSIGN(const Bytes owner_bytes, fs.read(owner_path, ledger::kMaxNoteBytes));
    auto owner = ledger::parse_card(as_text(owner_bytes));
    if (!owner) return owner.error().in(owner_path);
    if (owner->card.kind != ledger::CardKind::owner) {
        return Error{ErrorCode::invalid, owner_path + ": must be the card of an owner"};
    }
    std::string card;
    if (auto bytes = fs.read(join(folder, ledger::kHubCardFile), ledger::kMaxNoteBytes); bytes) {
        card = std::string(as_text(*bytes));
    }
    ledger::NoteSigner signer = ledger::hub_signer(seed);
    const HubId id = ledger::hub_id(signer.key().key);
    Secret<32> answer_secret;
    hkdf_sha256(seed.view(), {}, as_bytes("halfdoor/v1/answer"), answer_secret.mut());
    const bool owner_key_here = fs.exists(join(folder, ledger::kOwnerKeyHereFile));
    return HubIdentity{.id = id,
                       .signer = std::move(signer),
                       .answer_secret = std::move(answer_secret),
                       .card = std::move(card),
                       .owner = std::move(*owner),
                       .owner_key_here = owner_key_here};
}

}  // namespace hd::daemon
