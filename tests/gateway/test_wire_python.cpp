// A foreign client: stock python3-zmq speaks the framing by the document alone.
#include <atomic>
#include <cstdlib>
#include <thread>

#include <doctest/doctest.h>
#include <sys/wait.h>

#include "tests/gateway/wire_fixture.hpp"

using namespace hd;
using hd::test::WireFixture;

TEST_SUITE("gateway/wire/python") {
    TEST_CASE("python3-zmq is answered as docs/protocol.md says") {
        if (std::system("/usr/bin/python3 -c 'import zmq' >/dev/null 2>&1") != 0) {
            MESSAGE("skipped: no python3-zmq (apt install python3-zmq)");
            CHECK(true);
            return;
        }
        WireFixture f;
        std::vector<wire::EndpointSettings> endpoints;
        endpoints.push_back(f.ipc_endpoint());
        f.open(std::move(endpoints));
        std::atomic<int> status{-1};
        const std::string command = "/usr/bin/python3 " HALFDOOR_SMOKE " " + f.ipc;
        std::thread python([&] { status = std::system(command.c_str()); });
        while (status == -1) f.step(5);
        python.join();
        CHECK(WIFEXITED(status.load()));
        CHECK(WEXITSTATUS(status.load()) == 0);
    }
}
