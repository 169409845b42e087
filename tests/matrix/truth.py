# SPDX-License-Identifier: Apache-2.0
"""What is true of a killer, and what a verdict is worth against it."""
import dataclasses

CONFIDENT = 0.8  # a wrong class named with this confidence or more is "wrong and confident"
VALUE_ERROR = 0.05


@dataclasses.dataclass
class Truth:
    """What a verdict should say. The value is a range [low, high] where the program itself scatters: Daphne looks at its timers
    every 2 s, ws's README pings all its clients at one beat. also: classes that are as right, by docs/diagnosis.md."""
    name: str
    low: float = None
    high: float = None
    also: tuple = ()
    counts: str = None  # "server" where the server's messages are what a limit counts
    note: str = ""

    @property
    def value(self):
        return None if self.low is None else (self.low + (self.low if self.high is None else self.high)) / 2

    def error(self, value):
        """How far a value lies outside of the range, as a share of the nearest end; None: there is none to compare."""
        if self.low is None:
            return None
        if value is None:
            return 1.0
        high = self.low if self.high is None else self.high
        near = min(max(value, self.low), high)
        return abs(value - near) / near

    def __str__(self):
        if self.low is None:
            return self.name
        return f"{self.name} {self.low:g}" + ("" if self.high in (None, self.low) else f" to {self.high:g}")


def judge(truth, verdict):
    """(outcome, error of the value or None); outcome is right, value, wrong, confident or inconclusive. `value` is the right
    class with a value that is off by more than VALUE_ERROR. No verdict at all is wrong."""
    said = verdict.get("class") if verdict else None
    if said == "inconclusive":
        return "inconclusive", None
    if said != truth.name and said not in truth.also:
        return ("confident" if verdict and verdict.get("confidence", 1) >= CONFIDENT else "wrong"), None
    if said != truth.name:
        return "right", None
    value = verdict.get("value")
    if truth.counts == "server":
        value = verdict.get("server_messages")
    error = truth.error(value)
    return ("right" if error is None or error <= VALUE_ERROR else "value"), error
