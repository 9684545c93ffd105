#include "index/store/rocks.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/rate_limiter.h>
#include <rocksdb/table.h>
#include <rocksdb/write_buffer_manager.h>

namespace hd::store {
namespace {

// An hour's value is a list of chunks, so appending a clip is appending a chunk.
class AppendChunks final : public rocksdb::AssociativeMergeOperator {
  public:
    bool Merge(const rocksdb::Slice&, const rocksdb::Slice* existing, const rocksdb::Slice& value,
               std::string* out, rocksdb::Logger*) const override {
        out->clear();
        out->reserve((existing ? existing->size() : 0) + value.size());
        if (existing) out->append(existing->data(), existing->size());
        out->append(value.data(), value.size());
        return true;
    }
    const char* Name() const override { return "halfdoor.AppendChunks"; }
};

rocksdb::BlockBasedTableOptions table_options(const StoreOptions& options,
                                              std::shared_ptr<rocksdb::Cache> cache) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = std::move(cache);
    table.block_size = options.tuning.block_bytes;
    table.format_version = 5;  // read by 7.8 and 9
    table.checksum = rocksdb::kXXH3;
    // Index and filter blocks stay in memory (0.1 byte per clip), charged to the cache below: to
    // look them up in it took a third of a query's time.
    table.cache_index_and_filter_blocks = false;
    table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
    // An hour's key is in one table, but each level would have to be read to know. A key stands for
    // sixty clips, so the filter costs a fifth of a bit per clip.
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    const rocksdb::CacheEntryRoleOptions charged{
        .charged = rocksdb::CacheEntryRoleOptions::Decision::kEnabled};
    table.cache_usage_options.options_overrides = {
        {rocksdb::CacheEntryRole::kBlockBasedTableReader, charged},
        {rocksdb::CacheEntryRole::kFileMetadata, charged}};
    return table;
}

}  // namespace

Error from_rocks(const rocksdb::Status& status, std::string_view what) {
    ErrorCode code = ErrorCode::unavailable;
    if (status.IsNotFound())
        code = ErrorCode::not_found;
    else if (status.IsCorruption() || status.IsNotSupported() || status.IsInvalidArgument())
        code = ErrorCode::corrupt;
    else if (status.IsNoSpace() || status.IsMemoryLimit())
        code = ErrorCode::exhausted;
    return {code, fmt::format("index: {}: {}", what, status.ToString())};
}

RocksSetup rocks_setup(const StoreOptions& options) {
    RocksSetup setup;
    // A sixth of the budget stays outside: threads, WAL buffers, iterators, the allocator's slack.
    const std::uint64_t budget = std::max<std::uint64_t>(options.memory_bytes, 4u << 20);
    const std::uint64_t cache_bytes = budget - budget / 6;
    const std::uint64_t write_bytes = std::clamp<std::uint64_t>(budget / 12, 1u << 20, 16u << 20);
    setup.cache = rocksdb::NewLRUCache(cache_bytes, /*num_shard_bits=*/2);

    rocksdb::Options& o = setup.options;
    o.create_if_missing = true;
    o.paranoid_checks = true;
    o.merge_operator = std::make_shared<AppendChunks>();
    o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table_options(options, setup.cache)));
    o.compression = options.tuning.compress ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
    o.bottommost_compression = o.compression;

    // Small buffers: a flush is over quickly and the log that a start replays is short.
    o.write_buffer_size = write_bytes / 2;
    o.max_write_buffer_number = 2;
    o.arena_block_size = 256 << 10;
    // A filter over the write buffer too: nearly every hour that is asked for is not in it.
    o.memtable_whole_key_filtering = true;
    o.memtable_prefix_bloom_size_ratio = 0.02;
    o.write_buffer_manager =
        std::make_shared<rocksdb::WriteBufferManager>(write_bytes, setup.cache);
    o.max_total_wal_size = 4 * write_bytes;

    // One background thread for both jobs, at low priority and a bounded rate.
    o.max_background_jobs = 1;
    o.max_subcompactions = 1;
    o.level0_file_num_compaction_trigger = 4;
    o.target_file_size_base = 8ull << 20;
    o.max_bytes_for_level_base = 32ull << 20;
    o.level_compaction_dynamic_level_bytes = false;  // RocksDB 9 would default to true
    o.max_open_files = -1;
    o.bytes_per_sync = 1u << 20;
    o.compaction_readahead_size = 256 << 10;
    o.rate_limiter.reset(rocksdb::NewGenericRateLimiter(static_cast<std::int64_t>(
        std::max<std::uint64_t>(options.background_bytes_per_s, 1u << 20))));

    // The log: the tail after a power cut may be torn, which is not damage.
    o.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    o.avoid_flush_during_recovery = true;

    o.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
    o.keep_log_file_num = 2;
    o.max_log_file_size = 1u << 20;
    o.stats_dump_period_sec = 0;
    o.stats_persist_period_sec = 0;
    o.env->LowerThreadPoolIOPriority(rocksdb::Env::LOW);
    o.env->LowerThreadPoolCPUPriority(rocksdb::Env::LOW);
    return setup;
}

}  // namespace hd::store
