// Invariants checked, on any bytes:
//  - reading accounts for every byte: whole records, damaged, torn;
//  - what is read again from the offset of a record gives that record;
//  - a record that decodes as a camera, clock or hold record encodes to the same bytes;
//  - the file as clock.log has a newest record of its boot, the same however often it is read, and
//    what the clock log says next of any two stamps is said without a fault;
//  - after repair_tail nothing is torn, and a record appended then is found.
#include <cstdint>

#include "index/journal/camera_journal.hpp"
#include "index/journal/clock_log.hpp"
#include "index/journal/hold_journal.hpp"
#include "index/journal/journal.hpp"
#include "tests/support/memory_fs.hpp"

using namespace hd;

namespace {

void decodes(const journal::Record& record) {
    if (const auto camera = journal::decode_camera_record(record); camera) {
        const journal::Record again = journal::encode(*camera);
        HD_CHECK(again.type == record.type && again.payload.size() <= record.payload.size());
        HD_CHECK(equal(again.payload, ByteView(record.payload).first(again.payload.size())));
    }
    if (const auto clock = journal::decode_clock_record(record); clock)
        HD_CHECK(journal::encode(*clock).payload.size() <= record.payload.size());
    if (const auto hold = journal::decode_hold_record(record); hold) {
        const journal::Record again = journal::encode(*hold);
        HD_CHECK(again.payload.size() <= record.payload.size());
        HD_CHECK(equal(again.payload, ByteView(record.payload).first(again.payload.size())));
        std::map<journal::HoldId, journal::HoldSet> holds;
        journal::apply(*hold, holds);
        HD_CHECK(holds.size() <= 1);
    }
}

// The same bytes as <data>/clock.log, read at once and in two steps.
void reads_clocks(const Bytes& bytes) {
    test::MemoryFileSystem fs;
    fs.put("clock.log", bytes);
    std::vector<journal::Stamp> stamps;
    const auto visit = [&](const journal::Record& record, std::uint64_t) {
        if (const auto clock = journal::decode_clock_record(record)) stamps.push_back(clock->when);
    };
    if (!journal::read(fs, "clock.log", "clock", 0, visit)) return;
    journal::ClockLog log(fs, "clock.log");
    if (stamps.empty()) {
        HD_CHECK(!log.newest(BootId{}));
        return;
    }
    for (int look = 0; look < 2; ++look) {
        const auto newest = log.newest(stamps.back().boot);
        HD_CHECK(newest && newest->when.at == stamps.back().at);
    }
    std::optional<journal::ClockRecord> last;
    for (const journal::Stamp& stamp : stamps)
        if (const auto next = journal::clock_change(last, stamp)) last = next;
    HD_CHECK(last.has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 1 << 20) return 0;
    test::MemoryFileSystem fs;
    fs.put("j", Bytes(data, data + size));
    reads_clocks(Bytes(data, data + size));
    constexpr std::uint16_t kTypes[] = {1, 2, 3, 4, 5, 6, 7, 16};
    for (const std::uint16_t type : kTypes) decodes({type, Bytes(data, data + size)});

    std::uint64_t whole = 0;
    const auto report =
        journal::read(fs, "j", "camera", 0, [&](const journal::Record& record, std::uint64_t) {
            whole += journal::encode_record(record).size();
            decodes(record);
        });
    if (!report) return 0;  // a journal of another kind
    HD_CHECK(report->whole_until + report->torn_bytes == size);
    HD_CHECK(whole + report->damaged_bytes <= report->whole_until);

    HD_CHECK(journal::repair_tail(fs, "j", "camera").ok());
    HD_CHECK(fs.size("j").value() == report->whole_until);
    auto writer = journal::Writer::open(fs, "j", "camera");
    HD_CHECK(writer.ok() && writer->append({7, {1, 2, 3}}).ok());
    const auto after = journal::read(fs, "j", "camera", 0, [](const auto&, std::uint64_t) {});
    HD_CHECK(after.ok() && after->records == report->records + 1 && after->torn_bytes == 0);
    return 0;
}
