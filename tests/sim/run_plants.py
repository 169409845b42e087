#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The simulator of sessions is tested: each planted fault must be found within so many seeds.

    run_plants.py SEEDS DIRECTORY NAME…

Runs DIRECTORY/plant_NAME for each, several at a time. A plant is found when a seed fails, or the program with it."""
import concurrent.futures
import os
import re
import subprocess
import sys


def look_for(directory, name, seeds):
    run = subprocess.run([os.path.join(directory, f"plant_{name}"), "--seeds", f"1:{seeds}", "--first"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False)
    output = run.stdout.decode(errors="replace")
    found = re.search(r"^seed (\d+) failed: (.*)$", output, re.M)
    if found:
        return True, f"seed {found[1]}: {found[2]}"
    faults = ("ERROR", "assert", "runtime error")  # sanitizers exit with 1 as well
    if run.returncode < 0 or run.returncode > 2 or any(fault in output for fault in faults):
        last = next((line for line in output.splitlines() if any(fault in line for fault in faults)), "the program died")
        return True, last.strip()
    return False, f"not found by {seeds} seeds"


def main():
    seeds, directory, names = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        for name, (found, what) in zip(names, pool.map(lambda name: look_for(directory, name, seeds), names)):
            print(f"{'ok  ' if found else 'FAIL'} {name}: {what}", flush=True)
            failed += not found
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
