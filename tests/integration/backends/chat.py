# SPDX-License-Identifier: Apache-2.0
"""Story B's application: a FastAPI chat on Uvicorn that streams its answers in many small chunks.

/ws/chat?token=T (the token is CHAT_TOKEN). {"ask":N,"every_ms":M} is answered by N messages {"i":0…,"chunk":…} and
{"done":N}. {"close":code,"reason":text} closes. /ws/count?token=T answers each message with how many came so far."""
import asyncio
import os

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

application = FastAPI()


@application.websocket("/ws/chat")
async def chat(socket: WebSocket, token: str = ""):
    if token != os.environ["CHAT_TOKEN"]:
        await socket.close(4401)  # before accept: Uvicorn answers 403
        return
    await socket.accept()
    try:
        while True:
            asked = await socket.receive_json()
            if "close" in asked:
                await socket.close(asked["close"], asked.get("reason", ""))
                return
            for i in range(asked["ask"]):
                await socket.send_json({"i": i, "chunk": f"word {i} "})
                if asked.get("every_ms"):
                    await asyncio.sleep(asked["every_ms"] / 1000)
            await socket.send_json({"done": asked["ask"]})
    except WebSocketDisconnect:
        pass


@application.websocket("/ws/count")
async def count(socket: WebSocket, token: str = ""):
    await socket.accept()
    n = 0
    try:
        while True:
            await socket.receive()
            n += 1
            await socket.send_text(str(n))
    except (WebSocketDisconnect, RuntimeError):
        pass
