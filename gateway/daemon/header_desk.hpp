// `headers`: what the owner's tool needs to verify and re-wrap the pieces of a window, in packs of
// bounded size and time. Reads clip files; opens nothing.
#pragma once

#include "gateway/daemon/meta_desk.hpp"
#include "gateway/daemon/request_desk.hpp"

namespace hd::daemon {

class HeaderDesk {
  public:
    struct Wiring {  // Borrowed; all must outlive the desk.
        FileSystem& fs;
        Clock& clock;
        const store::Store& store;
        const MetaDesk& meta;
        const RequestDesk& requests;
        std::string data_folder;
    };
    explicit HeaderDesk(Wiring wiring) : wiring_(std::move(wiring)) {}
    VerbResult headers(const wire::Request& request) const;

  private:
    struct Question;
    struct Position;
    Result<Question> read_question(const wire::Request& request) const;
    Wiring wiring_;
};

}  // namespace hd::daemon
