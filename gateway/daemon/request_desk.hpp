// Requests: taking them in (for the gate) and showing them (to the owner).
//
// Log before answer: a note that keeps the rules is appended to requests/requests.log and synced
// before the clips are looked at. The answer is stored before it is sent, so the same note gets the
// same answer for ever. Nothing about a dismissal is written.
#pragma once

#include <functional>
#include <optional>
#include <set>

#include "gateway/consent/answer.hpp"
#include "gateway/daemon/event_outbox.hpp"
#include "gateway/daemon/hub_identity.hpp"
#include "gateway/daemon/policy_shelf.hpp"
#include "gateway/daemon/verb.hpp"
#include "gateway/ledger/request_log.hpp"
#include "index/base/clock.hpp"
#include "index/store/store.hpp"

namespace hd::daemon {

// The name of a requester at the endpoints: first 16 bytes of its card's hash, in hex.
std::string user_of(const consent::PolicyRequester& requester);
const consent::PolicyRequester* requester_of_user(const consent::Policy& policy,
                                                  std::string_view user);

class RequestDesk {
  public:
    struct Wiring {  // Borrowed; all must outlive the desk.
        FileSystem& fs;
        Clock& clock;
        const store::Store& store;
        EventOutbox& events;
        std::string data_folder;
    };
    // Repairs the journal's tail and reads it.
    static Result<RequestDesk> open(Wiring wiring);

    // gate.ask. A breach is the error that the requester sees; `unavailable` is silence.
    VerbResult ask(const wire::Request& request, const HubIdentity& hub,
                   const consent::Policy& policy);

    VerbResult requests(const wire::Request& request, const consent::Policy* policy) const;
    VerbResult show(const wire::Request& request, const consent::Policy* policy) const;
    VerbResult dismiss(const wire::Request& request);

    const ledger::RequestBook& book() const { return book_; }
    std::string answer_of(const RequestId& id) const;  // empty if there is none
    // Appends and syncs, then changes the book.
    Result<void> note_event(ledger::RequestEntry kind, const Digest& request, const Digest& detail);

  private:
    RequestDesk(Wiring wiring, journal::Writer writer)
        : wiring_(std::move(wiring)), writer_(std::move(writer)) {}
    void remove_strays();
    Result<void> append(const journal::Record& record);
    Result<std::string> take_in(const consent::Intake& intake, std::string_view private_body);
    Result<std::string> answer(const consent::SignedRequest& request, WallTime received,
                               const HubIdentity& hub, const consent::Policy& policy,
                               const consent::PolicyRequester& who);
    std::vector<consent::ClipSpan> clips_of(const consent::Request& request,
                                            const consent::Policy& policy) const;
    std::string_view state_of(const ledger::RequestBook::Entry& entry, WallTime now,
                              WallTime expires) const;
    std::string path_of(const RequestId& id, std::string_view kind) const;

    Wiring wiring_;
    journal::Writer writer_;
    ledger::RequestBook book_;
    std::set<RequestId> dismissed_;  // in memory only; bounded by the book
};

}  // namespace hd::daemon
