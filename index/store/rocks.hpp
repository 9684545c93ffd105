// RocksDB as this store wants it: options, merge operator, status to Error. Included only by
// index/store's own .cpp files.
#pragma once

#include <memory>
#include <string_view>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/merge_operator.h>
#include <rocksdb/options.h>

#include "index/base/bytes.hpp"
#include "index/base/result.hpp"
#include "index/store/store.hpp"

namespace hd::store {

inline rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }
inline rocksdb::Slice slice(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline ByteView bytes_of(const rocksdb::Slice& s) {
    return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()};
}
inline std::string_view text_of(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

Error from_rocks(const rocksdb::Status& status, std::string_view what);

struct RocksSetup {
    rocksdb::Options options;
    std::shared_ptr<rocksdb::Cache> cache;
};
// Everything that takes memory is charged to the one cache.
RocksSetup rocks_setup(const StoreOptions& options);

}  // namespace hd::store
