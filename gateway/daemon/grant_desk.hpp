// Grants: the owner uploads a signed grant and its new headers in chunks; after all checks they
// become a release. And gate.fetch, which lets a release out to exactly its requester.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "gateway/daemon/release_shelf.hpp"
#include "gateway/daemon/request_desk.hpp"

namespace hd::daemon {

class GrantDesk {
  public:
    struct Wiring {  // Borrowed; all must outlive the desk.
        FileSystem& fs;
        Clock& clock;
        const store::Store& store;
        RequestDesk& requests;
        std::string data_folder;
    };
    GrantDesk(Wiring wiring, ReleaseShelf shelf)
        : wiring_(std::move(wiring)), shelf_(std::move(shelf)) {}

    VerbResult begin(const wire::Request& request);
    VerbResult put(const wire::Request& request);
    VerbResult commit(const wire::Request& request, const Ruling& ruling);
    VerbResult abort(const wire::Request& request);
    VerbResult fetch(const wire::Request& request, const consent::Policy* policy);

    // Drops idle uploads, erases expired releases. About once a second.
    void tidy();

  private:
    // One upload in progress. The headers go to a file, not into memory: they may be 64 MiB.
    struct Upload {
        RequestId request;
        std::string grant;
        std::uint64_t headers_bytes = 0;
        std::unique_ptr<AppendFile> file;
        std::string path;
        BootTime last_used;
    };
    Result<Upload*> upload_of(const std::string& id);
    void drop(const std::string& id);
    Result<std::map<ClipId, std::string>> clips_of(const consent::Grant& grant,
                                                   TimeSpan window) const;
    Result<std::size_t> accept(Upload& upload, const Ruling& ruling, WallTime& not_after);

    Wiring wiring_;
    ReleaseShelf shelf_;
    std::map<std::string, Upload> uploads_;
};

}  // namespace hd::daemon
