// A fresh folder that goes away with its contents.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "index/base/check.hpp"

namespace hd::test {

class TempFolder {
  public:
    TempFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "halfdoor-XXXXXX").string();
        HD_CHECK(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~TempFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;

    const std::string& path() const { return path_; }
    std::string path(const std::string& name) const { return path_ + "/" + name; }
    std::string operator/(const std::string& name) const { return path(name); }

  private:
    std::string path_;
};

}  // namespace hd::test
