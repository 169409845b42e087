#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults planted into the sources, to see whether the simulator of sessions finds them.

    plants.py NAME ROOT OUT     writes the source of the plant, with its fault, to OUT
    plants.py --file NAME       says which source that is
    plants.py --names           says the names, one a line

A plant is a source below src and pairs of texts: each text must stand in it exactly once and is replaced. So a source that changes says
that its plant must change too."""
import sys
from pathlib import Path

PLANTS = {
    # The gateway forgets one message more than its client has acknowledged.
    "ack_off_by_one": ("session/session.c", [
        ("        hf_journal_drop(&s->journal, alloc, n);\n",
         "        hf_journal_drop(&s->journal, alloc, n + (n < s->sent.number ? 1 : 0));\n")]),
    # A resume goes on behind the message that it should go on with.
    "resume_skips_a_message": ("session/session.c", [
        ("    hf_journal_seek(&s->journal, &s->sent, from);\n",
         "    hf_journal_seek(&s->journal, &s->sent, from + (token != NULL && from < s->journal.end ? 1 : 0));\n")]),
    # An offer that was overtaken takes the session over all the same.
    "takeover_without_attempt": ("session/session.c", [
        ("    if (attempt <= s->attempt) {\n", "    if (attempt == UINT64_MAX) {\n"),
        ("        HF_ASSERT(attempt > s->attempt);\n", "")]),
    # The token of before stays good beside the one that replaced it.
    "accepted_token_for_ever": ("session/session.c", [
        ("        s->heard = true;\n        s->met = true;\n        promote(s);\n",
         "        s->heard = true;\n        s->met = true;\n")]),
    # A session whose client is away waits for ever.
    "parked_for_ever": ("session/session.c", [
        ("    s->mark = now + wait;\n", "    s->mark = now + wait * 1000;\n")]),
    # hello tells what was written to the backend in place of what was counted: the rest comes twice.
    "received_is_written": ("session/session.c", [
        ("    hello->received = s->counted;\n", "    hello->received = s->written;\n")]),
    # A text that begins with 0x01 goes to the client without its escape.
    "replay_not_escaped": ("gateway/keep_websocket.c", [
        ("                    opcode == HF_OP_TEXT && hf_text_needs_escape(payload));\n",
         "                    false);\n")]),
    # Messages count as taken by the backend as soon as they were counted.
    "ack_before_taken": ("gateway/keep_client.c", [
        ('"ack n=%llu", (unsigned long long)k->session.taken);\n',
         '"ack n=%llu", (unsigned long long)k->session.counted);\n')]),
    # `rebound` says that the lost backend had processed all that was written to it.
    "rebound_says_processed": ("gateway/keep_hold.c", [
        ("        h->from = h->proven;\n", "        h->from = k->session.written;\n")]),
    # A second replacement hides from the client what it was not told of the first.
    "rebound_forgets_the_one_before": ("gateway/keep_hold.c", [
        ("    if (h->attempt == 0 || (!h->untold && k->session.journal.base > h->at)) {\n", "    if (h->attempt < UINT64_MAX) {\n")]),
    # Messages that belong to the prologue are not said again.
    "prologue_forgotten": ("gateway/keep_hold.c", [
        ("    while (hf_journal_next(&h->records, &at, &record)) {\n",
         "    while (hf_journal_next(&h->records, &at, &record) && record.number > 1) {\n")]),
    # A client that resumes gets nothing again of what went out on the connection before.
    "journal_dropped_at_sent": ("session/client.c", [
        ("    if (c->plain) {\n        hf_journal_drop(&c->journal, c->alloc, c->at.number);\n",
         "    if (c->known || c->plain) {\n        hf_journal_drop(&c->journal, c->alloc, c->at.number);\n")]),
    # The library sends what it has, whatever it may.
    "credit_not_enforced": ("session/client.c", [
        ("        if (c->out_cost > 0 && c->out_cost + cost > c->buffer) {\n",
         "        if (c->out_cost > 0 && c->out_cost + cost > UINT64_MAX / 2) {\n")]),
    # The library sends again from the last ack on, not from what the gateway has counted.
    "sent_again_from_ack": ("session/client_control.c", [
        ("    hf_journal_seek(&c->journal, &c->at, hello->received);\n",
         "    hf_journal_seek(&c->journal, &c->at, c->journal.base);\n")]),
}


def planted(name, root):
    file, edits = PLANTS[name]
    text = (Path(root) / "src" / file).read_text(encoding="utf-8")
    for old, new in edits:
        if text.count(old) != 1:
            sys.exit(f"plants.py: {name}: this stands {text.count(old)} times in src/{file}, not once:\n{old}")
        text = text.replace(old, new)
    return text


def main():
    if sys.argv[1:] == ["--names"]:
        print("\n".join(PLANTS))
    elif sys.argv[1:2] == ["--file"]:
        print(PLANTS[sys.argv[2]][0])
    else:
        name, root, out = sys.argv[1:]
        Path(out).write_text(planted(name, root), encoding="utf-8")


if __name__ == "__main__":
    main()
