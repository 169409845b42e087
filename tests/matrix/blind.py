# SPDX-License-Identifier: Apache-2.0
"""One killer, once, asked blind: what the matrix and the tests of the stories are made of."""
import json
import os
import signal
import subprocess
import time
import traceback

import witness
from killers import KILLERS
from scene import BINARY, CannotRun, Scene
from truth import judge

RUNNING = set()  # the programs under test, so that who stops the matrix stops them
LATE = 25  # seconds beyond its budget, after which diagnose is ended


def diagnose(scene, keep):
    """(verdict or None, what it printed, seconds)"""
    argv = [str(BINARY), "diagnose", scene.url, "--json", "--budget", f"{scene.budget}s", *scene.options]
    begun = time.monotonic()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "NO_COLOR": "1"}, start_new_session=True)
    RUNNING.add(process)
    try:
        out, err = process.communicate(timeout=scene.budget + LATE)
        late = ""
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        late = f"\nit did not end within its budget of {scene.budget} s and {LATE} s more\n"
    RUNNING.discard(process)
    if keep:
        (keep / f"{scene.name}-{scene.seed}.jsonl").write_text(out)
        (keep / f"{scene.name}-{scene.seed}.err").write_text(" ".join(argv)[:2000] + "\n" + err)
    verdict = None
    for line in out.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            late += f"\nnot a JSON line: {line[:200]}"
            continue
        if record.get("type") == "verdict":
            verdict = record
    if verdict is None or process.returncode not in (0, 1, 3, 4):
        late += f"\nexit {process.returncode}\n{err[-2000:]}\n{out[-2000:]}"
    return verdict, late, time.monotonic() - begun


def one(name, seed, noise=0.0, check=False, keep=None, budget_max=None, stretch=1):
    """Runs one killer once. A record for the report; check: a plain client looks, and diagnose is left out."""
    record = {"killer": name, "seed": seed, "noise": False}
    try:
        with Scene(name, seed, Scene.noisy(name, seed, noise), stretch) as scene:
            KILLERS[name](scene)
            scene.budget = min(int(scene.budget * stretch), budget_max or 10 ** 6)
            record["noise"] = "noise_drop" in scene.facts  # a network namespace has no room for the noisy box
            record["facts"], record["options"] = scene.facts, [word[:60] for word in scene.options]
            if check:
                good, seen = witness.check(scene)
                record.update(truth=str(scene.settled()), good=bool(good), seen=seen)
                return record
            verdict, complaint, seconds = diagnose(scene, keep)
            truth = scene.settled()
            outcome, error = judge(truth, verdict)
            record.update(truth=truth.name, value=truth.value, expected=str(truth), note=truth.note, verdict=verdict, outcome=outcome,
                          error=error, seconds=round(seconds, 1), complaint=complaint)
    except CannotRun as why:
        record["skipped"] = str(why)
    except Exception:
        record["fault"] = traceback.format_exc()
    return record
