#include "tools/bench/bench_index_peer.hpp"

#include "index/base/check.hpp"

namespace hd::bench {

void SqlitePeer::run(const char* sql) {
    HD_CHECK(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
}

SqlitePeer::SqlitePeer(const std::string& path, std::uint64_t cache_bytes,
                       const std::vector<CameraId>& ids)
    : ids_(ids) {
    HD_CHECK(sqlite3_open(path.c_str(), &db_) == SQLITE_OK);
    run("pragma journal_mode=WAL");
    run(("pragma cache_size=-" + std::to_string(cache_bytes / 1024)).c_str());
    run("create table if not exists clip(camera int, start int, length int, name int, run int,"
        " bytes int, frames int, pieces int, reason int, quality int, restamped int,"
        " primary key(camera, start)) without rowid");
    run("pragma synchronous=normal");
    const auto prepare = [&](const char* sql, sqlite3_stmt** out) {
        HD_CHECK(sqlite3_prepare_v2(db_, sql, -1, out, nullptr) == SQLITE_OK);
    };
    prepare("insert into clip values(?,?,?,?,?,?,?,?,?,?,?)", &insert_);
    prepare("delete from clip where camera=? and start=?", &erase_);
    prepare(
        "select start,length,name,run,bytes,frames,pieces,reason,quality,restamped from clip"
        " where camera=? and start>? and start<? and start+length>? order by start",
        &select_);
}

SqlitePeer::~SqlitePeer() {
    sqlite3_finalize(insert_);
    sqlite3_finalize(erase_);
    sqlite3_finalize(select_);
    sqlite3_close(db_);
}

void SqlitePeer::set_full_sync(bool full) {
    run(full ? "pragma synchronous=full" : "pragma synchronous=normal");
}
void SqlitePeer::begin() { run("begin"); }
void SqlitePeer::commit() { run("commit"); }
void SqlitePeer::checkpoint() { run("pragma wal_checkpoint(truncate)"); }

void SqlitePeer::insert(int camera, const clip::ClipSummary& s) {
    sqlite3_bind_int(insert_, 1, camera);
    sqlite3_bind_int64(insert_, 2, s.utc_begin.us);
    sqlite3_bind_int64(insert_, 3, (s.utc_end - s.utc_begin).count());
    sqlite3_bind_int64(insert_, 4, s.name_time.us - s.utc_begin.us);
    sqlite3_bind_int64(insert_, 5, s.run.value);
    sqlite3_bind_int64(insert_, 6, static_cast<std::int64_t>(s.size_bytes));
    sqlite3_bind_int64(insert_, 7, s.frames);
    sqlite3_bind_int64(insert_, 8, s.pieces);
    sqlite3_bind_int(insert_, 9, static_cast<int>(s.reason));
    sqlite3_bind_int(insert_, 10, static_cast<int>(s.quality));
    sqlite3_bind_int(insert_, 11, 0);
    HD_CHECK(sqlite3_step(insert_) == SQLITE_DONE);
    sqlite3_reset(insert_);
}

void SqlitePeer::erase(int camera, WallTime start) {
    sqlite3_bind_int(erase_, 1, camera);
    sqlite3_bind_int64(erase_, 2, start.us);
    HD_CHECK(sqlite3_step(erase_) == SQLITE_DONE);
    sqlite3_reset(erase_);
}

void SqlitePeer::window(int camera, TimeSpan window, std::vector<store::ClipRow>& out) {
    sqlite3_bind_int(select_, 1, camera);
    sqlite3_bind_int64(select_, 2, window.begin.us - clip::kMaxClipLength.count());
    sqlite3_bind_int64(select_, 3, window.end.us);
    sqlite3_bind_int64(select_, 4, window.begin.us);
    while (sqlite3_step(select_) == SQLITE_ROW) {
        store::ClipRow& r = out.emplace_back();
        const auto number = [&](int column) { return sqlite3_column_int64(select_, column); };
        r.camera = ids_[static_cast<std::size_t>(camera)];
        r.begin = {number(0)};
        r.end = {r.begin.us + number(1)};
        r.name_time = {r.begin.us + number(2)};
        r.run = {static_cast<std::uint32_t>(number(3))};
        r.size_bytes = static_cast<std::uint64_t>(number(4));
        r.frames = static_cast<std::uint32_t>(number(5));
        r.pieces = static_cast<std::uint32_t>(number(6));
        r.reason = static_cast<clip::EndReason>(number(7));
        r.quality = static_cast<ClockQuality>(number(8));
        r.restamped = number(9) != 0;
    }
    sqlite3_reset(select_);
}

}  // namespace hd::bench
