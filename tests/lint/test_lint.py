#!/usr/bin/env python3
"""Shows each rule of lint.py red on a small tree made for it, and a clean tree green."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

LINT = pathlib.Path(__file__).with_name("lint.py")
HEADER = "// What it is for.\n#pragma once\n"


def run_on(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, LINT, folder], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout


class LintTest(unittest.TestCase):
    def red(self, path, text, expected):
        code, output = run_on({path: text})
        self.assertEqual(code, 1, output)
        self.assertIn(expected, output)

    def test_a_clean_tree_is_green(self):
        code, output = run_on({"index/base/a.hpp": HEADER + '#include "index/base/b.hpp"\n',
                               "README.md": "# Halfdoor\n"})
        self.assertEqual(code, 0, output)

    def test_an_empty_tree_is_not_a_pass(self):
        code, _ = run_on({})
        self.assertEqual(code, 1)

    def test_include_against_the_table(self):
        self.red("index/base/a.hpp", HEADER + '#include "gateway/wire/x.hpp"\n', "may not include gateway/wire")

    def test_gateway_reaches_only_link_in_pipelines(self):
        self.red("gateway/daemon/a.cpp", '#include "pipelines/mux/x.hpp"\n', "may not include pipelines/mux")

    def test_include_without_full_path(self):
        self.red("index/base/a.hpp", HEADER + '#include "b.hpp"\n', "full path")

    def test_foreign_header_outside_its_room(self):
        self.red("gateway/daemon/a.cpp", "#include <rocksdb/db.h>\n", "belongs to index/store")

    def test_tools_do_not_include_tests(self):
        self.red("tools/cli/a.cpp", '#include "tests/support/x.hpp"\n', "must not include from tests")

    def test_banned_calls(self):
        for text, expected in [("auto t = std::chrono::system_clock::now();", "take a hd::Clock&"),
                               ("std::this_thread::sleep_for(x);", "Clock::sleep_until"),
                               ("std::thread t;", "rooms are passive"), ("std::cout << 1;", "hd::log"),
                               ("auto* p = new Thing();", "unique_ptr"), ("  delete p;", "unique_ptr"),
                               ("assert(x);", "HD_CHECK"), ("system(x);", "posix_spawn")]:
            self.red("index/clip/a.cpp", text + "\n", expected)

    def test_a_word_in_a_comment_or_string_is_not_a_call(self):
        code, output = run_on({"index/clip/a.cpp": '// delete p; std::cout\nauto s = "assert(x)";\n'})
        self.assertEqual(code, 0, output)

    def test_leftovers_and_machine_paths(self):
        self.red("index/clip/a.cpp", "// TO" + "DO later\n", "leftover")
        self.red("index/clip/a.cpp", 'auto p = "/home/somebody/x";\n', "path of one machine")

    def test_length_and_header_shape(self):
        self.red("index/clip/a.cpp", "int x;\n" * 501, "split it")
        self.red("index/clip/a.hpp", "// purpose\nint x;\n", "#pragma once")
        self.red("index/clip/a.hpp", "#pragma once\n", "purpose")

    def test_docs(self):
        self.red("docs/a.md", "[x](gone.md)\n", "dead link gone.md")
        self.red("README.md", "line\n" * 101, "README has 101 lines")

    def test_top_level(self):
        self.red("extra/a.txt", "x", "not one of the top-level entries")


if __name__ == "__main__":
    unittest.main()
