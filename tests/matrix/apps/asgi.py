# SPDX-License-Identifier: Apache-2.0
"""The application behind the real Python servers of the matrix: bare ASGI, so that what the server does is what is seen.

MATRIX_APP is JSON: `answer` (echo, silent), and at most one fault:
  raise_at N        the N-th message of a connection raises
  close_at [N, C]   the N-th message is answered with Close C
  idle S            a connection whose client sent no message for S seconds is closed with 4408
  age S             a connection is closed with 4401 when it is S seconds old, as when its token expires
  block [D, S]      D seconds after the first connection the loop is blocked for S seconds, once in the life of the process
  stop_at N         at the N-th message of a connection the application reads no more of it; logged with the header X-Port
`log` is a file that gets one line for each fault: time of the clock, process, word."""
import asyncio
import json
import os
import time

HOW = json.loads(os.environ.get("MATRIX_APP", "{}"))
state = {"blocks": False}


def note(word):
    if "log" in HOW:
        with open(HOW["log"], "a", encoding="utf-8") as log:
            log.write(f"{time.time():.6f} {os.getpid()} {word}\n")


def block(seconds):
    note("blocked")
    time.sleep(seconds)
    note("unblocked")


async def lifespan(receive, send):
    while True:
        event = await receive()
        await send({"type": event["type"] + ".complete"})
        if event["type"] == "lifespan.shutdown":
            return


async def get(receive, opened):
    """The next event; one of our own when it does not come in time."""
    left, word = None, ""
    if "idle" in HOW:
        left, word = HOW["idle"], "idle"
    elif "age" in HOW:
        left, word = HOW["age"] - (time.monotonic() - opened), "age"
    if left is None:
        return await receive()
    try:
        return await asyncio.wait_for(receive(), left)
    except asyncio.TimeoutError:
        return {"type": word}


async def converse(scope, receive, send):
    count, opened = 0, time.monotonic()
    while True:
        event = await get(receive, opened)
        if event["type"] == "websocket.disconnect":
            return
        if event["type"] in ("idle", "age"):
            note(event["type"])
            await send({"type": "websocket.close", "code": 4408 if event["type"] == "idle" else 4401})
            return
        if event["type"] != "websocket.receive":
            continue
        count += 1
        if HOW.get("raise_at") == count:
            note("raised")
            raise RuntimeError(f"message {count} is one too many")
        if HOW.get("close_at", [0])[0] == count:
            note("closed")
            await send({"type": "websocket.close", "code": HOW["close_at"][1]})
            return
        if HOW.get("stop_at") == count:
            note("stopped:" + dict(scope["headers"]).get(b"x-port", b"0").decode())
            await asyncio.sleep(3600)
        if HOW.get("answer", "echo") == "echo":
            await send({"type": "websocket.send", **{k: v for k, v in event.items() if k in ("text", "bytes") and v is not None}})


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["type"] == "http":
        await receive()
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"no page here\n"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    if "block" in HOW and not state["blocks"]:
        state["blocks"] = True
        asyncio.get_running_loop().call_later(HOW["block"][0], block, HOW["block"][1])
    await converse(scope, receive, send)
