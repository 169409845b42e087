# SPDX-License-Identifier: Apache-2.0
"""Sessions that move between four workers as their connections are cut, while the gateway reloads, is asked about them, and loses its
backend, with ThreadSanitizer: whatever it finds is on the gateway's standard error, and stopping it asserts that there is nothing."""
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
sys.dont_write_bytecode = True

from harness.drops import Run  # noqa: E402


def test_sessions_move_between_workers_under_cuts_reloads_and_a_killed_backend_without_a_race_or_a_loss(tmp_path):
    count = 100
    config = {"session": {"beat": "1s"}, "on_backend_loss": "hold"}
    with Run(tmp_path, "uvicorn", count, 300, ["--max-age", 1000, "--mode", "mix", "--seed", 3], config=config, workers=4,
             open_over_ms=1000, words=["--patience", 2000]) as run:
        for second in range(6):
            time.sleep(1)  # the length of the run is what is tested
            run.clients.stats()
            run.gateway.reload()
            for page in ("/api/sessions", "/api/endings", "/metrics"):
                run.gateway.get(page)
            if second == 3:
                run.kill_backend()
        run.box.ask("quiet")
        stats, box, total, sessions = run.finish()
        assert run.faults(stats, box, total, sessions) == []
        assert stats["resumed"] > 2 * count, stats
