# SPDX-License-Identifier: Apache-2.0
"""What the matrix prints: a line for each run, the table, and what the shares come to."""
CLASSES = ["none", "idle_timer", "lifetime", "message_limit", "size_limit", "restart", "pong_timeout", "blocked_server", "network",
           "handshake", "inconclusive"]
SHORT = ["none", "idle", "life", "msgs", "size", "restart", "pong", "blocked", "network", "handsh", "inconcl", "no verdict"]
RIGHT_MIN, CONFIDENT_MAX, VALUE_MAX = 0.95, 0.01, 0.05


def line(record):
    verdict = record["verdict"] or {}
    said = " ".join(str(verdict[key]) for key in ("class", "value", "unit", "server_messages") if verdict.get(key) not in (None, ""))
    text = (f"{record['outcome']:<12} {record['killer']} --seed {record['seed']}{' (noise)' if record['noise'] else ''}: "
            f"true {record['expected']}, said {said or 'nothing'} ({verdict.get('confidence', 0):.2f}) in {record['seconds']} s")
    if record["outcome"] != "right":
        named = ", ".join(f"{c.get('id')} {c.get('likelihood', 0):.2f}" for c in verdict.get("causes", [])[:3])
        text += f"\n    {record['facts']} {' '.join(record['options'])[:150]}\n    causes: {named or '-'}; {verdict.get('sentence', '')}"
        text += f"\n    again: tests/matrix/run --only {record['killer']} --seed {record['seed']} --rounds 1 --noise {0.3 if record['noise'] else 0}"
    return text + record["complaint"]


def table(records):
    """Rows are what is true, columns what was said."""
    rows = {}
    for record in records:
        verdict = record["verdict"]
        column = CLASSES.index(verdict["class"]) if verdict and verdict.get("class") in CLASSES else len(CLASSES)
        rows.setdefault(record["truth"], [0] * len(SHORT))[column] += 1
    text = " " * 16 + "".join(f"{name:>8}" for name in SHORT) + "\n"
    for name in CLASSES:
        if name in rows:
            text += f"{name:<16}" + "".join(f"{number or '.':>8}" for number in rows[name]) + "\n"
    return text


def by_killer(records):
    text = ""
    for name in dict.fromkeys(record["killer"] for record in records):
        mine = [record for record in records if record["killer"] == name]
        count = {word: sum(record["outcome"] == word for record in mine) for word in ("right", "value", "inconclusive", "wrong", "confident")}
        worst = max((record["error"] for record in mine if record["error"] is not None), default=None)
        text += f"{name:<32}{len(mine):>5} runs  " + "  ".join(f"{word} {number}" for word, number in count.items() if number)
        text += "" if worst is None else f"  worst value {worst * 100:.1f} %"
        text += f"  {sum(record['seconds'] for record in mine) / len(mine):.0f} s\n"
    return text


def summary(records, quick):
    """Prints it. The exit code."""
    runs = [record for record in records if "outcome" in record]
    faults = [record for record in records if "fault" in record]
    skipped = [record for record in records if "skipped" in record]
    if not runs:
        print(f"0 passed, {len(faults) or 1} failed, {len(skipped)} skipped")
        return 1
    number = {word: sum(record["outcome"] == word for record in runs) for word in ("right", "value", "inconclusive", "wrong", "confident")}
    classed = number["right"] + number["value"]
    share = {word: count / len(runs) for word, count in number.items()}
    print("\n" + table(runs))
    if not quick:
        print(by_killer(runs))
    print(f"{len(runs)} runs: {classed / len(runs):.1%} of the right class, {share['inconclusive']:.1%} inconclusive, "
          f"{share['wrong'] + share['confident']:.1%} wrong, {share['confident']:.1%} wrong with confidence; "
          f"values beyond 5 %: {number['value']} of {sum(record['error'] is not None for record in runs)}"
          + (f"; {len(faults)} could not be set up" if faults else ""))
    if quick:
        passed = number["right"]
        print(f"{passed} passed, {len(runs) - passed + len(faults)} failed" + (f", {len(skipped)} skipped" if skipped else ""))
        return 0 if passed == len(runs) and not faults else 1
    good = (classed / len(runs) >= RIGHT_MIN and share["confident"] <= CONFIDENT_MAX and number["value"] <= VALUE_MAX * max(classed, 1)
            and not faults)
    return 0 if good else 1
