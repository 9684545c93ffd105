// A request that an owner approves.
#pragma once

#include <vector>

#include "tests/gateway/household.hpp"

namespace hd::test {

// A household with one request and one minute of each camera around the window's begin.
struct GrantScene {
    Household home;
    TakenRequest taken = take_request(home);
    RecordedClip front =
        home.record(home.front, clip_id_of(1), home.window.begin - std::chrono::seconds(5), 20);
    RecordedClip yard =
        home.record(home.yard, clip_id_of(2), home.window.begin + std::chrono::seconds(60), 10);
    consent::TrustedRequest trusted =
        consent::trust_request(taken.made.request.bytes, home.signed_policy).value();
    std::vector<seal::Identity> owner_keys;
    std::vector<CameraId> cameras{home.front, home.yard};
    std::vector<consent::ClipBundle> bundles{front.bundle(), yard.bundle()};

    GrantScene() { owner_keys.push_back(identity_of(1)); }

    Result<consent::Approval> approve_with(TimeSpan window) {
        return consent::approve({.request = trusted,
                                 .policy = home.signed_policy,
                                 .cameras = cameras,
                                 .window = window,
                                 .clips = bundles,
                                 .identities = owner_keys,
                                 .not_after = home.now + std::chrono::hours(24)},
                                home.owner);
    }
    Result<consent::Approval> approve_all() { return approve_with(home.window); }
    consent::GrantContext context() const {
        return {
            .policy = home.policy, .owner = home.owner.key(), .book = taken.book, .now = home.now};
    }
    // A grant with one field set otherwise, signed by the owner.
    template <typename F>
    consent::SignedGrant changed(F&& change) {
        consent::Grant g = approve_all().value().grant.grant;
        change(g);
        return consent::sign_grant(g, home.owner);
    }
};

}  // namespace hd::test
