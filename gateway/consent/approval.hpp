// The owner's side of an approval. It trusts nothing that the hub sends: the request is verified
// against the policy that the owner signed, each header against its MAC, its identity stanza, the
// camera and the window, before its file key is wrapped to the requester. Pure; runs on the
// owner's device.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "gateway/consent/grant.hpp"
#include "index/seal/seal.hpp"

namespace hd::consent {

// What the hub sends for one clip, as bytes that nobody has verified yet.
struct PieceBundle {
    Bytes identity;         // encoded (clip::encode_identity)
    Bytes original_header;  // age header
};
struct ClipBundle {
    Bytes clip_header;                // encoded (clip::encode_header)
    std::vector<PieceBundle> pieces;  // rising sequence, init first
};

// The request, as the owner's tool believes it: parsed, signed by exactly the requester that the
// policy names, for this hub, recipient = that requester's age key, public rules kept at the time
// it was posted. refused: says why.
struct TrustedRequest {
    SignedRequest request;
    PolicyRequester who;  // a copy
};
Result<TrustedRequest> trust_request(std::string_view note, const SignedPolicy& policy);

struct ApprovalInput {
    const TrustedRequest& request;
    const SignedPolicy& policy;
    std::span<const CameraId> cameras;  // that the owner approves; each must be in the policy
    TimeSpan window;                    // inside the request's; usually equal to it
    std::span<const ClipBundle> clips;  // ordered by camera, then time
    std::span<const seal::Identity> identities;  // the owner's secret
    WallTime not_after;
    // Called before each piece is opened, for progress; may be empty.
    std::function<void(std::size_t done, std::size_t total)> progress;
};
struct Approval {
    SignedGrant grant;
    Bytes headers;  // the new headers file
    std::size_t pieces = 0;
    Micros length{0};  // of the video that goes out, summed over clips
    // Of video inside the window that stays: no key frame to decode it from lies in front of it, in
    // its clip and inside the window.
    Micros before_key{0};
};
// refused: a header that is not what the hub says it is (names clip and piece), a camera or time
// that was not approved; not_found: no piece lies wholly inside the window. Opens headers of
// selected pieces only: neighbours stay shut.
Result<Approval> approve(const ApprovalInput& input, const ledger::NoteSigner& signer);

// Verifies one piece and gives its file key (for export, too): header MAC, identity stanza, camera.
Result<seal::FileKey> open_piece_key(ByteView clip_header, const PieceBundle& piece,
                                     std::span<const seal::Identity> identities);

}  // namespace hd::consent
