#!/usr/bin/env python3
"""Counts the tests of a meson run: doctest cases one by one, every other program as one test.

usage: count_tests.py BUILD/meson-logs/testlog.json
Prints "N passed, N failed, N skipped" and, before it, each skipped test with its reason.
Exits 1 if the log cannot be read or holds no test: no run must not look like a pass.
"""
import json
import re
import sys

CASES = re.compile(r"\[doctest\] test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed")
UNITTEST = re.compile(r"^Ran (\d+) tests? in", re.M)


def count(path):
    passed = failed = skipped = 0
    with open(path, encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            output = test.get("stdout", "") + test.get("stderr", "")
            for reason in re.findall(r"^.*\bskipped: .*$", output, re.M | re.I):
                print(f"{test['name']}: {reason.strip()}")
            result = test["result"]
            cases = CASES.search(output)
            if result in ("SKIP",):
                skipped += 1
            elif cases:
                passed += int(cases.group(2))
                failed += int(cases.group(3))
                if result not in ("OK", "EXPECTEDFAIL") and int(cases.group(3)) == 0:
                    failed += 1  # a crash or sanitizer report after the last case
            elif result in ("OK", "EXPECTEDFAIL"):
                ran = UNITTEST.search(output)
                passed += int(ran.group(1)) if ran else 1
            else:
                failed += 1
    return passed, failed, skipped


def main():
    try:
        passed, failed, skipped = count(sys.argv[1])
    except (OSError, ValueError, KeyError, IndexError) as problem:
        print(f"count_tests: cannot read the test log: {problem}", file=sys.stderr)
        return 1
    if passed + failed == 0:
        print("count_tests: no test ran", file=sys.stderr)
        return 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
