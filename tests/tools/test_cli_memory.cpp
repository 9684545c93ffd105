// What the owner's tool remembers of a hub, and what it then refuses. In-process.
#include <doctest/doctest.h>

#include "index/seal/key_file.hpp"
#include "tools/cli/policy_files.hpp"

namespace hd::cli {
namespace {

struct Owner {
    seal::Identity identity = seal::generate_identity();
    ledger::NoteSigner signer = ledger::person_signer(identity.secret, ledger::CardKind::owner);
    ledger::SignedCard card =
        *ledger::make_person_card(identity.secret, ledger::CardKind::owner, "Ada");

    consent::SignedPolicy sign(const consent::Policy& policy) const {
        return *consent::sign_policy(policy, signer);
    }
};

HubMemory memory_of(const consent::SignedPolicy& policy) {
    return {"folder", std::nullopt, policy.bytes};
}

}  // namespace

TEST_SUITE("tools/cli/memory") {
    TEST_CASE("a hub that shows an older policy than before is refused, and told how to go on") {
        const Owner owner;
        const auto first = owner.sign(*consent::first_policy(random_id<HubId>(), owner.card));
        const auto second = owner.sign(consent::next_policy(first.policy, first.hash));
        const auto key = owner.signer.key();
        const auto back = check_against_memory(memory_of(second), first, key);
        REQUIRE(!back);
        CHECK(back.error().code == ErrorCode::refused);
        CHECK(back.error().what.find("policy apply") != std::string::npos);
        CHECK(check_against_memory(memory_of(first), second, key));
        CHECK(check_against_memory(memory_of(second), second, key));
        CHECK(check_against_memory({"folder", std::nullopt, std::nullopt}, first, key));
    }

    TEST_CASE("a hub that shows another policy under the same number is refused") {
        const Owner owner;
        auto policy = *consent::first_policy(random_id<HubId>(), owner.card);
        const auto one = owner.sign(policy);
        policy.minimum_age_s += 60;
        const auto other = owner.sign(policy);
        CHECK(!check_against_memory(memory_of(one), other, owner.signer.key()));
    }

    TEST_CASE("a place is two numbers of degrees, and nothing else") {
        CHECK(parse_cell("40.71,-74.01")->lat_e2 == 4071);
        CHECK(parse_cell("40.71, -74.01")->lon_e2 == -7401);
        for (const char* text :
             {"", "40.71", "40.71;-74.01", "north,west", "40.71,-74.01x", "91,0", "nan,0"}) {
            CAPTURE(text);
            CHECK(!parse_cell(text));
        }
    }
}

}  // namespace hd::cli
