// The worked examples of docs/formats are real: made here from published test keys, compared with
// the pages. HALFDOOR_WRITE_EXAMPLES=FOLDER writes them (also the seeds of the fuzz corpus).
#include <cstdlib>

#include <doctest/doctest.h>

#include "index/base/encoding.hpp"
#include "tests/gateway/household.hpp"

using namespace hd;
using namespace hd::consent;
using hd::test::Household;

namespace {

struct Example {
    std::string page, name, bytes;
};

std::vector<Example> examples() {
    const Household home;
    const auto signer = ledger::person_signer(home.requester_secret, ledger::CardKind::requester);
    PrivateBody body{.case_number = "2026-11/0042",
                     .contact = "desk@police.example",
                     .text = "Break-in at the bakery."};
    body.salt.fill(0x55);
    const auto salt =
        ledger::derive_case_salt(home.requester_secret, normal_case_number(body.case_number));
    std::copy_n(salt.data(), salt.size(), body.case_salt.begin());
    const std::string private_body = to_text(body);
    Request r{.hub = home.hub_id,
              .case_commitment = case_commitment(body.case_salt, body.case_number),
              .offence = Offence::burglary,
              .window = home.window,
              .area = square_around(40.71, -74.01, 800),
              .posted = home.now,
              .expires = home.now + std::chrono::hours(24 * 7),
              .recipient = test::identity_of(2).recipient,
              .private_sha256 = sha256(as_bytes(private_body))};
    r.nonce.fill(0x77);
    const SignedRequest request = sign_request(r, signer);
    const Bytes headers(26, 'x');
    const Grant grant{.hub = home.hub_id,
                      .request = request.hash,
                      .recipient = r.recipient,
                      .not_after = home.now + std::chrono::hours(24),
                      .ranges = {{home.front, test::clip_id_of(1), 7, 20},
                                 {home.yard, test::clip_id_of(2), 1, 10}},
                      .headers = 26,
                      .headers_sha256 = sha256(headers)};
    return {{"note.md", "card.note", home.requester_card.bytes},
            {"policy.md", "policy.note", home.signed_policy.bytes},
            {"request.md", "request.note", request.bytes},
            {"request.md", "request.private", private_body},
            {"grant.md", "grant.note", sign_grant(grant, home.owner).bytes}};
}

}  // namespace

TEST_SUITE("gateway/consent/docs") {
    TEST_CASE("every example in docs/formats is exactly what the code makes") {
        const char* folder = std::getenv("HALFDOOR_WRITE_EXAMPLES");
        for (const Example& e : examples()) {
            CAPTURE(e.name);
            if (folder != nullptr)
                REQUIRE(write_file_atomic(join(folder, e.name), as_bytes(e.bytes), 0644).ok());
            const auto page =
                real_file_system().read(std::string(HALFDOOR_DOCS) + "/" + e.page, 1 << 20);
            REQUIRE(page.ok());
            CHECK(as_text(*page).find("```\n" + e.bytes + "```\n") != std::string_view::npos);
        }
    }

    TEST_CASE("the example of a request is taken in by the example household") {
        const Household home;
        const auto all = examples();
        const ledger::RequestBook book;
        CHECK(judge_request(home.intake(book), all[2].bytes, all[3].bytes).kind ==
              Intake::Kind::take);
    }
}
