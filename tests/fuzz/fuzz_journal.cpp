// Invariants checked, on any bytes:
//  - reading accounts for every byte: whole records, damaged, torn;
//  - what is read again from the offset of a record gives that record;
//  - a record that decodes as a camera, clock or hold record encodes to the same bytes;
//  - after repair_tail nothing is torn, and a record appended then is found.
#include <cstdint>

#include "index/journal/camera_journal.hpp"
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
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 1 << 20) return 0;
    test::MemoryFileSystem fs;
    fs.put("j", Bytes(data, data + size));
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
