// The owner's holds: hold, holds, unhold, and the journal that remembers them.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "gateway/daemon/hold_board.hpp"
#include "gateway/daemon/status_board.hpp"
#include "gateway/daemon/verb.hpp"
#include "index/base/clock.hpp"
#include "index/journal/hold_journal.hpp"

namespace hd::daemon {

// More is not a hold but another retention rule; each is looked at for each clip that may die.
constexpr std::size_t kMaxHolds = 1000;

class HoldDesk {
  public:
    struct Wiring {  // Borrowed; all must outlive the desk.
        FileSystem& fs;
        Clock& clock;
        StatusBoard& board;
        HoldBoard& holds;
        std::string data_folder;
    };
    // Reads the journal. One that cannot be read stops no hub: it is a health error, and everything
    // is held, because nobody knows what is not.
    explicit HoldDesk(Wiring wiring);

    VerbResult hold(const wire::Request& request);
    VerbResult holds(const wire::Request& request) const;
    VerbResult unhold(const wire::Request& request);

    // Forgets holds whose time is over. About once a second.
    void tidy();

  private:
    void load();
    Result<void> write(const journal::HoldRecord& record);
    void tell() const;

    Wiring wiring_;
    const std::string path_;
    std::map<journal::HoldId, journal::HoldSet> holds_;
    std::optional<journal::Writer> journal_;
    bool unreadable_ = false;
};

}  // namespace hd::daemon
