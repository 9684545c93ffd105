// keygen, card, init, policy: the real program in folders of its own.
#include <doctest/doctest.h>

#include "tests/tools/cli_tools.hpp"

namespace hd::test {

TEST_SUITE("tools/cli/keys") {
    TEST_CASE(
        "keygen writes a stock age key that only its owner can read, and says the public part") {
        const Desk desk;
        const Ran made = desk.halfdoor({"keygen", "-o", "a.key", "--json"});
        REQUIRE(made.code == 0);
        const std::string key = slurp(desk / "a.key");
        const std::string recipient = made.json()["recipient"];
        CHECK(mode_of(desk / "a.key") == 0600);
        CHECK(contains(key, "\nAGE-SECRET-KEY-1"));
        CHECK(contains(key, "# public key: " + recipient + "\n"));
        CHECK(!contains(made.out + made.err, "AGE-SECRET-KEY-1"));
        CHECK(contains(made.err, "age -p"));
    }

    TEST_CASE("a key is never overwritten, unless --force says so") {
        const Desk desk;
        REQUIRE(desk.halfdoor({"keygen", "-o", "a.key"}).code == 0);
        const std::string before = slurp(desk / "a.key");
        const Ran again = desk.halfdoor({"keygen", "-o", "a.key"});
        CHECK(again.code == 2);
        CHECK(contains(again.err, "--force"));
        CHECK(slurp(desk / "a.key") == before);
        CHECK(desk.halfdoor({"keygen", "-o", "a.key", "--force"}).code == 0);
        CHECK(slurp(desk / "a.key") != before);
        CHECK(mode_of(desk / "a.key") == 0600);
    }

    TEST_CASE("a card shows the same fingerprint as it was made with; a changed one is refused") {
        const Desk desk;
        desk.person("ada", "owner");
        const Ran shown = desk.halfdoor({"card", "show", "ada.card", "--json"});
        REQUIRE(shown.code == 0);
        CHECK(shown.json()["kind"] == "owner");
        CHECK(shown.json()["name"] == "ada");
        const std::string fingerprint = shown.json()["fingerprint"];
        std::string spoken = fingerprint;
        for (char& c : spoken) c = c == '-' ? ' ' : static_cast<char>(std::tolower(c));
        CHECK(desk.halfdoor({"card", "verify", "ada.card", "--fingerprint", spoken}).code == 0);

        std::string other = fingerprint;
        other[0] = other[0] == '7' ? '8' : '7';
        const Ran wrong = desk.halfdoor({"card", "verify", "ada.card", "--fingerprint", other});
        CHECK(wrong.code == 1);
        CHECK(contains(wrong.err, "do not use this card"));

        std::string bytes = slurp(desk / "ada.card");
        bytes.replace(bytes.find("ada"), 3, "eve");
        spill(desk / "eve.card", bytes);
        const Ran changed = desk.halfdoor({"card", "show", "eve.card"});
        CHECK(changed.code != 0);
        CHECK(changed.out.empty());
    }

    TEST_CASE(
        "a passphrase-protected key names the age command; a key can come from standard input") {
        const Desk desk;
        desk.person("ada", "owner");
        spill(desk / "locked.age",
              "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n");
        const std::vector<std::string> make{"card", "make", "--name", "x", "-o", "-", "--key"};
        auto locked = make;
        locked.push_back("locked.age");
        const Ran refused = desk.halfdoor(locked);
        CHECK(refused.code != 0);
        CHECK(contains(refused.err, "age -d"));
        auto piped = make;
        piped.push_back("-");
        const Ran read = desk.halfdoor(piped, slurp(desk / "ada.key"));
        CHECK(read.code == 0);
        CHECK(contains(read.out, "halfdoor-card/v1"));
    }

    TEST_CASE("errors have documented codes: 2 for a wrong line or file, and say what to do next") {
        const Desk desk;
        CHECK(desk.halfdoor({"no-such-verb"}).code == 2);
        CHECK(desk.halfdoor({"keygen", "--no-such-option"}).code == 2);
        CHECK(desk.halfdoor({}).code == 2);
        CHECK(desk.halfdoor({"--help"}).code == 0);
        CHECK(desk.halfdoor({"clips", "--help"}).code == 0);
        const Ran nothing = desk.halfdoor({"card", "show", "missing.card"});
        CHECK(nothing.code == 2);
        const Ran keyless = desk.halfdoor({"card", "make", "--name", "x", "-o", "-"});
        CHECK(keyless.code == 2);
        CHECK(contains(keyless.err, "next: add --key"));
        const Ran nowhere = desk.halfdoor({"status", "--data", "nothing-here"});
        CHECK(nowhere.code == 3);
        CHECK(contains(nowhere.err, "halfdoord --config"));
        const Ran script = desk.halfdoor({"status", "--data", "nothing-here", "--json"});
        const auto error = nlohmann::json::parse(script.err)["error"];
        CHECK(error["code"] == "unavailable");
        CHECK(error.contains("next"));
    }
}

TEST_SUITE("tools/cli/init") {
    TEST_CASE("init makes hub keys that only the hub can read, and a config without passwords") {
        const Desk desk;
        desk.person("owner", "owner");
        const Ran made = desk.halfdoor({"init", "--data", "data", "--owner-card", "owner.card",
                                        "--camera", "door=rtsp://127.0.0.1:7800/cam0", "--camera",
                                        "yard=rtsp://admin:hunter2@127.0.0.1:7800/cam1", "--json"});
        REQUIRE_MESSAGE(made.code == 0, made.err);
        for (const char* file :
             {"hub.key", "owner.curve", "dashboard.curve", "events.curve", "requester.curve"}) {
            CAPTURE(file);
            CHECK(mode_of(desk / (std::string("data/hub/") + file)) == 0600);
        }
        CHECK(slurp(desk / "data/hub/owner.card") == slurp(desk / "owner.card"));
        const std::string config = slurp(desk / "halfdoor.toml");
        CHECK(!contains(config, "hunter2"));
        CHECK(slurp(desk / "yard.password") == "hunter2\n");
        CHECK(mode_of(desk / "yard.password") == 0600);
        CHECK(!contains(made.out + made.err, "hunter2"));
        CHECK(contains(made.err, "is lost"));
        CHECK(contains(made.err, "policy sign"));
        const Ran card = desk.halfdoor({"card", "show", "data/hub/hub.card", "--json"});
        CHECK(card.json()["kind"] == "hub");
        CHECK(card.json()["fingerprint"] == made.json()["hub_fingerprint"]);
    }

    TEST_CASE("init asks for a camera's password; one on the command line is remarked upon") {
        const Desk desk;
        desk.person("owner", "owner");
        const std::vector<std::string> init = {"init",
                                               "--data",
                                               "data",
                                               "--owner-card",
                                               "owner.card",
                                               "--camera",
                                               "yard=rtsp://admin@127.0.0.1:7800/cam1"};
        const Ran none = desk.halfdoor(init);
        CHECK(none.code == 2);
        CHECK(contains(none.err, "camera yard has a user and no password"));
        CHECK(slurp(desk / "data/hub/hub.key").empty());
        const Ran told = desk.halfdoor(init, "p@ss:word\n");
        REQUIRE_MESSAGE(told.code == 0, told.err);
        CHECK(slurp(desk / "yard.password") == "p@ss:word\n");
        CHECK(contains(slurp(desk / "halfdoor.toml"), "rtsp://127.0.0.1:7800/cam1"));
        CHECK(!contains(told.out + told.err, "p@ss"));
        CHECK(!contains(told.err, "command line"));
        const Ran seen = desk.halfdoor({"init", "--data", "data2", "--owner-card", "owner.card",
                                        "--config-out", "two.toml", "--draft-out", "two.draft",
                                        "--camera", "gate=rtsp://admin:a@b@127.0.0.1:7800/cam1"});
        REQUIRE_MESSAGE(seen.code == 0, seen.err);
        CHECK(contains(seen.err, "the password of camera gate was on the command line"));
        CHECK(slurp(desk / "gate.password") == "a@b\n");
    }

    TEST_CASE("a folder that is a hub already, and a config that exists, are left alone") {
        const Desk desk;
        desk.hub();
        const std::string key = slurp(desk / "data/hub/hub.key");
        const Ran again = desk.halfdoor({"init", "--data", "data", "--owner-card", "owner.card",
                                         "--config-out", "other.toml", "--force"});
        CHECK(again.code == 1);
        CHECK(slurp(desk / "data/hub/hub.key") == key);
        const Ran config = desk.halfdoor({"init", "--data", "data2", "--owner-card", "owner.card"});
        CHECK(config.code == 2);
        CHECK(contains(config.err, "halfdoor.toml exists"));
        CHECK(slurp(desk / "data2/hub/hub.key").empty());
    }

    TEST_CASE("without the owner's key, policy 1 waits for the owner's device") {
        const Desk desk;
        desk.person("owner", "owner");
        REQUIRE(desk.halfdoor({"init", "--data", "data", "--owner-card", "owner.card"}).code == 0);
        CHECK(desk.halfdoor({"policy", "show", "--data", "data"}).code == 1);
        REQUIRE(desk.halfdoor({"policy", "sign", "policy-1.draft", "--key", "owner.key", "-o",
                               "policy-1.note"})
                    .code == 0);
        const Ran applied = desk.halfdoor({"policy", "apply", "policy-1.note", "--data", "data"});
        REQUIRE_MESSAGE(applied.code == 0, applied.err);
        const Ran shown = desk.halfdoor({"policy", "show", "--data", "data", "--json"});
        CHECK(shown.json()["number"] == 1);
        CHECK(shown.json()["recipients"].size() == 1);
    }

    TEST_CASE("--owner-key-here works at once and says that a thief can open the video") {
        const Desk desk;
        const Ran made = desk.halfdoor(
            {"init", "--data", "data", "--owner-key-here", "--recovery", "paper.key"});
        REQUIRE_MESSAGE(made.code == 0, made.err);
        CHECK(contains(made.err, "thief of this hub can open the video"));
        CHECK(mode_of(desk / "data/hub/owner.key") == 0600);
        CHECK(mode_of(desk / "paper.key") == 0600);
        const Ran shown = desk.halfdoor({"policy", "show", "--data", "data", "--json"});
        REQUIRE(shown.code == 0);
        CHECK(shown.json()["recipients"].size() == 2);
        CHECK(shown.json()["requesters"].empty());
    }
}

TEST_SUITE("tools/cli/policy") {
    TEST_CASE("a script edits, signs and applies the next policy, and each change is told") {
        const Desk desk;
        desk.hub({"--camera", "door=rtsp://127.0.0.1:7800/cam0"});
        desk.person("police", "requester");
        const Ran edited =
            desk.halfdoor({"policy", "edit", "next.draft", "--data", "data", "--add-requester",
                           "police.card", "--name", "county police", "--level", "clips",
                           "--all-cameras", "--cell", "40.71,-74.01", "--minimum-age", "0"});
        REQUIRE_MESSAGE(edited.code == 0, edited.err);
        CHECK(contains(edited.err, "county police"));
        CHECK(contains(edited.err, "fingerprint"));
        REQUIRE(
            desk.halfdoor({"policy", "sign", "next.draft", "--key", "owner.key", "-o", "2.note"})
                .code == 0);
        REQUIRE(desk.halfdoor({"policy", "apply", "2.note", "--data", "data"}).code == 0);
        const auto now = desk.halfdoor({"policy", "show", "--data", "data", "--json"}).json();
        CHECK(now["number"] == 2);
        CHECK(now["requesters"][0]["name"] == "county police");
        CHECK(now["requesters"][0]["level"] == "clips");
        CHECK(now["cameras"].size() == 1);
        CHECK(now["cell"]["lat"] == doctest::Approx(40.71));

        const Ran level = desk.halfdoor(
            {"policy", "edit", "3.draft", "--data", "data", "--set-level", "county police=silent"});
        CHECK(level.code == 0);
        CHECK(contains(level.err, "silent"));
        const Ran nobody = desk.halfdoor(
            {"policy", "edit", "3.draft", "--data", "data", "--remove-requester", "nobody"});
        CHECK(nobody.code == 1);
    }

    TEST_CASE("a requester without a level, and a policy that does not follow, are refused") {
        const Desk desk;
        desk.hub();
        desk.person("police", "requester");
        const Ran no_level = desk.halfdoor(
            {"policy", "edit", "n.draft", "--data", "data", "--add-requester", "police.card"});
        CHECK(no_level.code == 2);
        CHECK(contains(no_level.err, "no default"));

        REQUIRE(
            desk.halfdoor({"policy", "edit", "n.draft", "--data", "data", "--minimum-age", "60"})
                .code == 0);
        REQUIRE(desk.halfdoor({"policy", "sign", "n.draft", "--key", "owner.key", "-o", "a.note"})
                    .code == 0);
        REQUIRE(
            desk.halfdoor({"policy", "edit", "n.draft", "--data", "data", "--minimum-age", "90"})
                .code == 0);
        REQUIRE(desk.halfdoor({"policy", "sign", "n.draft", "--key", "owner.key", "-o", "b.note"})
                    .code == 0);
        CHECK(desk.halfdoor({"policy", "apply", "a.note", "--data", "data"}).code == 0);
        const Ran fork = desk.halfdoor({"policy", "apply", "b.note", "--data", "data"});
        CHECK(fork.code == 1);
        CHECK(desk.halfdoor({"policy", "apply", "a.note", "--data", "data"}).code == 0);
    }

    TEST_CASE("a policy signed by somebody else does not count") {
        const Desk desk;
        desk.hub();
        desk.person("eve", "owner");
        REQUIRE(
            desk.halfdoor({"policy", "edit", "n.draft", "--data", "data", "--minimum-age", "60"})
                .code == 0);
        const Ran signed_by_eve =
            desk.halfdoor({"policy", "sign", "n.draft", "--key", "eve.key", "-o", "eve.note"});
        CHECK(contains(signed_by_eve.err, "not among the recipients"));
        const Ran applied = desk.halfdoor({"policy", "apply", "eve.note", "--data", "data"});
        CHECK(applied.code != 0);
        CHECK(desk.halfdoor({"policy", "show", "--data", "data", "--json"}).json()["number"] == 1);
    }
}

}  // namespace hd::test
