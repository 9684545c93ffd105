// The peer of the index bench: SQLite with the schema that hubs of this kind use, the same fields
// and the same cache size.
#pragma once

#include <string>
#include <vector>

#include <sqlite3.h>

#include "index/store/rows.hpp"
#include "tools/bench/bench_history.hpp"

namespace hd::bench {

class SqlitePeer {
  public:
    SqlitePeer(const std::string& path, std::uint64_t cache_bytes,
               const std::vector<CameraId>& ids);
    ~SqlitePeer();
    SqlitePeer(const SqlitePeer&) = delete;
    SqlitePeer& operator=(const SqlitePeer&) = delete;

    void set_full_sync(bool full);
    void begin();
    void commit();
    void insert(int camera, const clip::ClipSummary& s);
    void erase(int camera, WallTime start);
    // Appends what overlaps the window, as the index's own rows.
    void window(int camera, TimeSpan window, std::vector<store::ClipRow>& out);
    void checkpoint();

  private:
    void run(const char* sql);
    sqlite3* db_ = nullptr;
    sqlite3_stmt *insert_ = nullptr, *erase_ = nullptr, *select_ = nullptr;
    std::vector<CameraId> ids_;
};

}  // namespace hd::bench
