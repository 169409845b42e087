# SPDX-License-Identifier: Apache-2.0
"""Story B's application: a FastAPI chat that streams its answers, with a rate limiter that counts the wrong thing.

The limiter is middleware, as it is often found: so many messages in a window, else the connection is closed. It wraps both
receive and send, so each chunk that the server streams counts as a message of the client. CHAT_LIMIT messages in
CHAT_WINDOW seconds; CHAT_COUNTS is `chunks` (the bug) or `client`. {"ask": N} is answered by N chunks, CHAT_EVERY seconds
apart, and {"done": N}; anything else is a question of CHAT_CHUNKS chunks."""
import asyncio
import collections
import json
import os
import time

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

LIMIT, WINDOW = int(os.environ.get("CHAT_LIMIT", "20")), float(os.environ.get("CHAT_WINDOW", "10"))
EVERY, CHUNKS = float(os.environ.get("CHAT_EVERY", "0.1")), int(os.environ.get("CHAT_CHUNKS", "12"))


class Limiter:
    def __init__(self, app, chunks_count):
        self.app, self.chunks_count = app, chunks_count

    async def __call__(self, scope, receive, send):
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        seen, over = collections.deque(), False

        async def count():
            nonlocal over
            now = time.monotonic()
            seen.append(now)
            while seen[0] < now - WINDOW:
                seen.popleft()
            if len(seen) > LIMIT and not over:
                over = True
                await send({"type": "websocket.close", "code": 1008, "reason": "rate limit exceeded"})

        async def counted_receive():
            event = await receive()
            if event["type"] == "websocket.receive":
                await count()
            return {"type": "websocket.disconnect", "code": 1008} if over else event

        async def counted_send(event):
            if over:
                raise WebSocketDisconnect(1008)
            if event["type"] == "websocket.send" and self.chunks_count:
                await count()
            if not over:
                await send(event)
        try:
            await self.app(scope, counted_receive, counted_send)
        except WebSocketDisconnect:
            pass


application = FastAPI()
application.add_middleware(Limiter, chunks_count=os.environ.get("CHAT_COUNTS", "chunks") == "chunks")


@application.websocket("/chat")
async def chat(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            text = await socket.receive_text()
            try:
                chunks = int(json.loads(text)["ask"])
            except (ValueError, KeyError, TypeError):
                chunks = CHUNKS
            for i in range(chunks):
                await socket.send_json({"i": i, "chunk": f"word {i} "})
                await asyncio.sleep(EVERY)
            await socket.send_json({"done": chunks})
    except (WebSocketDisconnect, RuntimeError):
        pass
