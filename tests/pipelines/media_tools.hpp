// Test footage and the stock tools that judge what we write. Generated files are made once per test
// program and are small; real footage is used where it lies (HALFDOOR_FOOTAGE, or the folder that
// tools/demo uses).
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "index/base/bytes.hpp"
#include "tests/support/temp_folder.hpp"

namespace hd::test {

struct Ran {
    int status = -1;
    std::string output;  // standard output and error together
};
inline Ran run_command(const std::string& command) {
    Ran ran;
    std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
    if (!pipe) return ran;
    std::array<char, 4096> buffer{};
    for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
        ran.output.append(buffer.data(), n);
    ran.status = ::pclose(pipe);
    return ran;
}

inline bool have_program(const std::string& name) {
    return run_command("command -v " + name).status == 0;
}

inline void write_bytes(const std::string& path, ByteView bytes) {
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
}

// A folder with real footage, if there is one.
inline std::optional<std::string> footage(const std::string& name) {
    const char* named = std::getenv("HALFDOOR_FOOTAGE");
    const std::string folder =
        named ? named : std::string(HALFDOOR_SOURCE_ROOT) + "/../shared/footage";
    const std::string path = folder + "/" + name;
    if (std::filesystem::exists(path)) return path;
    std::printf("skipped: no %s (set HALFDOOR_FOOTAGE)\n", name.c_str());
    return std::nullopt;
}

// A few seconds of moving test picture. `encoder` is ffmpeg's name and options.
inline std::optional<std::string> generate(const TempFolder& folder, const std::string& name,
                                           const std::string& encoder, int seconds = 6) {
    if (!have_program("ffmpeg")) {
        std::printf("skipped: no ffmpeg to make %s\n", name.c_str());
        return std::nullopt;
    }
    const std::string path = folder / name;
    const Ran ran =
        run_command("ffmpeg -v error -y -f lavfi -i testsrc2=size=320x240:rate=25 -t " +
                    std::to_string(seconds) + " -pix_fmt yuv420p " + encoder + " " + path);
    if (ran.status == 0) return path;
    std::printf("skipped: ffmpeg cannot make %s: %s\n", name.c_str(), ran.output.c_str());
    return std::nullopt;
}

// What a decoder complains about; empty is good.
inline std::string decode_errors(const std::string& path) {
    return run_command("ffmpeg -v error -xerror -i " + path + " -f null -").output;
}

// One entry of a stream or format as ffprobe prints it.
inline std::string ffprobe(const std::string& path, const std::string& entries,
                           const std::string& options = "") {
    std::string out = run_command("ffprobe -v error -select_streams v:0 " + options +
                                  " -show_entries " + entries + " -of csv=p=0 " + path)
                          .output;
    while (!out.empty() && (out.back() == '\n' || out.back() == ',')) out.pop_back();
    return out;
}

}  // namespace hd::test
