// Which requests this hub took in: the entries of <data>/requests/requests.log (journal kind
// "request") and the map that is built from them at start.
//
// Log before answer: the daemon appends `Taken` and syncs BEFORE the hub looks at its clips. The
// public Merkle ledger will hold the same note bytes; everything else here stays private for good.
// Pure: the daemon does the reading and writing through hd::journal.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "index/base/crypto.hpp"
#include "index/base/ids.hpp"
#include "index/base/time.hpp"
#include "index/journal/journal.hpp"

namespace hd::ledger {

constexpr std::string_view kRequestJournalKind = "request";

// On disk: do not renumber (docs/formats/request.md).
enum class RequestEntry : std::uint16_t {
    taken = 1,     // a note that kept the rules
    answered = 2,  // its answer is stored beside the journal
    // 3 stays free: nothing about a dismissal is ever written (design.md section 9).
    granted = 4,  // a grant was accepted
    fetched = 5,  // the first fetch; from now on nothing can be recalled
    revoked = 6,  // a grant was taken back before the first fetch
};

// What is kept of a request at intake.
struct Taken {
    std::string note;   // exact bytes
    WallTime received;  // hub time, the stamp in the answer
    Digest card{};      // hash of the requester's card in the policy of that moment
    Digest private_sha256{};
    Digest case_public{};   // the note's `case` line
    Digest case_private{};  // keyed by this hub, see consent::private_case_tag
    std::array<std::uint8_t, 16> nonce{};
    TimeSpan window;
    std::uint64_t policy_number = 0;  // of the policy that it was judged by
};
struct Event {
    RequestEntry kind = RequestEntry::answered;
    Digest request{};
    WallTime at;
    Digest detail{};  // answered: SHA-256 of the answer; granted, fetched, revoked: of the grant
};

journal::Record encode_taken(const Taken& taken);
Result<Taken> decode_taken(const journal::Record& record);
journal::Record encode_event(const Event& event);
Result<Event> decode_event(const journal::Record& record);

Digest note_hash(std::string_view note);        // SHA-256 of the exact note bytes
RequestId request_id(const Digest& note_hash);  // its first 16 bytes
RequestId request_id_of(std::string_view note);

// The requests in memory. Not thread-safe: one thread owns it.
class RequestBook {
  public:
    struct Entry {
        Taken taken;
        Digest hash{};
        std::optional<Event> answered;
        std::vector<Event> grants;  // granted, fetched, revoked, in order
        bool granted(const Digest& grant) const;
        bool fetched(const Digest& grant) const;
        bool revoked(const Digest& grant) const;
    };

    // Feeds one journal record. Unknown types are skipped (a newer version wrote them); an event
    // of an unknown request, or a request twice, is `corrupt`.
    Result<void> apply(const journal::Record& record);

    const Entry* find(const RequestId& id) const;
    const Entry* find(const Digest& note_hash) const;
    // How many requests of this card name this case, by the public commitment or by the hub's own
    // tag, whichever is more: a fresh salt does not buy a third request.
    std::size_t count_for_case(const Digest& card, const Digest& case_public,
                               const Digest& case_private) const;
    bool nonce_used(const Digest& card, const std::array<std::uint8_t, 16>& nonce) const;
    // Requests of this card received in [begin, end): number, and sum of their windows.
    struct Usage {
        std::size_t requests = 0;
        Micros asked{0};
    };
    Usage usage(const Digest& card, TimeSpan received) const;
    const std::map<RequestId, Entry>& all() const { return by_id_; }
    // Oldest first.
    std::vector<const Entry*> by_time() const;

  private:
    std::map<RequestId, Entry> by_id_;
};

}  // namespace hd::ledger
