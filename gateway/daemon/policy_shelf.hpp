// <data>/policy/<n>.note: which policy rules, and taking in the next one.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "gateway/consent/policy.hpp"
#include "index/base/files.hpp"

namespace hd::daemon {

// The chain of policies under this owner's key, from the first; the newest valid one rules. A file
// that does not verify or does not follow ends the chain there, and `trouble` says which and why.
struct PolicyFound {
    std::optional<consent::SignedPolicy> ruling;
    std::string trouble;
};
PolicyFound find_policy(FileSystem& fs, const std::string& data_folder, const HubId& hub,
                        const ledger::NoteKey& owner);

// Verifies the note, checks that it may follow `present`, writes it atomically and syncs it.
Result<consent::SignedPolicy> store_policy(FileSystem& fs, const std::string& data_folder,
                                           const HubId& hub, const ledger::NoteKey& owner,
                                           const consent::SignedPolicy* present,
                                           std::string_view note);

// What all threads may know of hub and policy. Immutable; replaced as a whole.
struct Ruling {
    HubId hub;
    ledger::NoteKey owner;
    bool owner_key_here = false;
    std::optional<consent::SignedPolicy> policy;  // none: `halfdoor init` is not finished
};

class RulingBoard {
  public:
    // Null before `halfdoor init`.
    std::shared_ptr<const Ruling> get() const {
        const std::lock_guard lock(mutex_);
        return ruling_;
    }
    void set(std::shared_ptr<const Ruling> ruling) {
        const std::lock_guard lock(mutex_);
        ruling_ = std::move(ruling);
    }

  private:
    mutable std::mutex mutex_;  // A leaf.
    std::shared_ptr<const Ruling> ruling_;
};

}  // namespace hd::daemon
