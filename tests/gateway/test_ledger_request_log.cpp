#include <doctest/doctest.h>

#include "gateway/ledger/request_log.hpp"
#include "tests/gateway/household.hpp"

using namespace hd;
using namespace hd::ledger;

namespace {

Digest digest_of(std::uint8_t fill) {
    Digest d{};
    d.fill(fill);
    return d;
}

Taken sample(std::string note, std::uint8_t card, std::uint8_t case_public,
             std::uint8_t case_private) {
    Taken t{.note = std::move(note),
            .received = {1'000'000},
            .card = digest_of(card),
            .private_sha256 = digest_of(0x11),
            .case_public = digest_of(case_public),
            .case_private = digest_of(case_private),
            .window = {{0}, {3'600'000'000}},
            .policy_number = 3};
    t.nonce.fill(case_public);
    return t;
}

}  // namespace

TEST_SUITE("gateway/ledger/request_log") {
    TEST_CASE("entries come back as they were written") {
        const Taken t = sample("note bytes", 1, 2, 3);
        const auto back = decode_taken(encode_taken(t));
        REQUIRE(back.ok());
        CHECK(back->note == t.note);
        CHECK(back->received == t.received);
        CHECK(back->card == t.card);
        CHECK(back->private_sha256 == t.private_sha256);
        CHECK(back->case_public == t.case_public);
        CHECK(back->case_private == t.case_private);
        CHECK(back->nonce == t.nonce);
        CHECK(back->window == t.window);
        CHECK(back->policy_number == 3);
        const Event e{RequestEntry::granted, digest_of(7), {5}, digest_of(8)};
        const auto event = decode_event(encode_event(e));
        REQUIRE(event.ok());
        CHECK(event->kind == e.kind);
        CHECK(event->request == e.request);
        CHECK(event->at == e.at);
        CHECK(event->detail == e.detail);
    }

    TEST_CASE("a cut entry is corrupt at every length") {
        const auto record = encode_taken(sample("note", 1, 2, 3));
        for (std::size_t n = 0; n < record.payload.size(); ++n) {
            journal::Record cut{record.type,
                                Bytes(record.payload.begin(),
                                      record.payload.begin() + static_cast<std::ptrdiff_t>(n))};
            CHECK_FALSE(decode_taken(cut).ok());
        }
        auto longer = record;
        longer.payload.push_back(0);
        CHECK_FALSE(decode_taken(longer).ok());
    }

    TEST_CASE("the book finds requests by id and by hash, and keeps their events") {
        RequestBook book;
        REQUIRE(book.apply(encode_taken(sample("a", 1, 2, 3))).ok());
        const Digest hash = note_hash("a");
        REQUIRE(book.find(hash) != nullptr);
        CHECK(book.find(request_id_of("a")) == book.find(hash));
        CHECK(book.find(note_hash("b")) == nullptr);
        const Digest grant = digest_of(9);
        CHECK(book.apply(encode_event({RequestEntry::answered, hash, {1}, digest_of(5)})).ok());
        CHECK(book.apply(encode_event({RequestEntry::granted, hash, {2}, grant})).ok());
        const auto* entry = book.find(hash);
        CHECK(entry->answered->detail == digest_of(5));
        CHECK(entry->granted(grant));
        CHECK_FALSE(entry->granted(digest_of(10)));
        CHECK_FALSE(entry->fetched(grant));
        CHECK(book.apply(encode_event({RequestEntry::fetched, hash, {3}, grant})).ok());
        CHECK(entry->fetched(grant));
    }

    TEST_CASE("a request twice and an event of nobody are corrupt, unknown types are skipped") {
        RequestBook book;
        REQUIRE(book.apply(encode_taken(sample("a", 1, 2, 3))).ok());
        CHECK_FALSE(book.apply(encode_taken(sample("a", 1, 2, 3))).ok());
        CHECK_FALSE(
            book.apply(encode_event({RequestEntry::answered, note_hash("b"), {1}, {}})).ok());
        CHECK(book.apply({900, Bytes{1, 2, 3}}).ok());
        CHECK(book.all().size() == 1);
    }

    TEST_CASE("a case is counted by commitment or by the hub's tag, for one card") {
        RequestBook book;
        REQUIRE(book.apply(encode_taken(sample("a", 1, 10, 20))).ok());
        REQUIRE(book.apply(encode_taken(sample("b", 1, 11, 20))).ok());  // a fresh salt
        REQUIRE(book.apply(encode_taken(sample("c", 2, 10, 20))).ok());  // another card
        CHECK(book.count_for_case(digest_of(1), digest_of(10), digest_of(20)) == 2);
        CHECK(book.count_for_case(digest_of(1), digest_of(10), digest_of(99)) == 1);
        CHECK(book.count_for_case(digest_of(2), digest_of(10), digest_of(20)) == 1);
        CHECK(book.count_for_case(digest_of(3), digest_of(10), digest_of(20)) == 0);
    }

    TEST_CASE("usage counts what was received in a half-open span") {
        RequestBook book;
        REQUIRE(book.apply(encode_taken(sample("a", 1, 1, 1))).ok());
        const Digest card = digest_of(1);
        CHECK(book.usage(card, {{1'000'000}, {1'000'001}}).requests == 1);
        CHECK(book.usage(card, {{1'000'000}, {1'000'001}}).asked == std::chrono::hours(1));
        CHECK(book.usage(card, {{0}, {1'000'000}}).requests == 0);
        CHECK(book.usage(card, {{1'000'001}, {9'000'000}}).requests == 0);
        CHECK(book.usage(digest_of(2), {{0}, {9'000'000}}).requests == 0);
    }
}
