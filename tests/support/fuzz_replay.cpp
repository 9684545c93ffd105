// Runs a fuzz target without libFuzzer: over each file of a corpus folder, and over a fixed number
// of deterministic mutations of each (seeded, so that a failure repeats). Exit 1 if the folder is
// empty: a corpus that is gone must not look like a pass.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes mutate(Bytes input, std::mt19937_64& rng) {
    const std::size_t edits = 1 + rng() % 4;
    for (std::size_t i = 0; i < edits; ++i) {
        const std::size_t at = input.empty() ? 0 : rng() % input.size();
        const auto byte = static_cast<std::uint8_t>(rng());
        const auto place = input.begin() + static_cast<std::ptrdiff_t>(at);
        switch (rng() % 5) {
            case 0:
                if (!input.empty()) *place ^= static_cast<std::uint8_t>(1u << (byte & 7u));
                break;
            case 1:
                if (!input.empty()) *place = byte;
                break;
            case 2:
                input.resize(at);
                break;
            case 3:
                input.insert(place, byte);
                break;
            default: {
                const Bytes copy(place, input.end());
                input.insert(input.end(), copy.begin(),
                             copy.begin() + static_cast<std::ptrdiff_t>(
                                                std::min<std::size_t>(copy.size(), 64)));
            }
        }
    }
    return input;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s CORPUS_FOLDER [MUTATIONS_PER_FILE]\n", argv[0]);
        return 2;
    }
    const int mutations = argc > 2 ? std::atoi(argv[2]) : 200;
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(argv[1]))
        if (entry.is_regular_file()) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    if (files.empty()) {
        std::fprintf(stderr, "%s holds no corpus file\n", argv[1]);
        return 1;
    }
    std::mt19937_64 rng(20261122);
    std::size_t runs = 0;
    for (const auto& path : files) {
        std::ifstream in(path, std::ios::binary);
        const Bytes input{std::istreambuf_iterator<char>(in), {}};
        LLVMFuzzerTestOneInput(input.data(), input.size());
        for (int i = 0; i < mutations; ++i, ++runs) {
            const Bytes other = mutate(input, rng);
            LLVMFuzzerTestOneInput(other.data(), other.size());
        }
    }
    std::printf("%zu files, %zu mutations\n", files.size(), runs);
    return 0;
}
