# SPDX-License-Identifier: Apache-2.0
"""Numbered messages as a FastAPI application, for Uvicorn: see numbered.py."""
import numbered
from fastapi import FastAPI, Response, WebSocket

application = FastAPI()


@application.get("/report")
async def report():
    return Response(numbered.report(), media_type="application/json")


@application.websocket("/ws/numbers/")
async def numbers(socket: WebSocket):
    await socket.accept()

    async def send(data):
        await (socket.send_text(data) if isinstance(data, str) else socket.send_bytes(data))
    stream = numbered.opened(socket.url.query, send)
    while True:
        event = await socket.receive()
        if event["type"] == "websocket.disconnect":
            stream.disconnected(event["code"])
            return
        text = event.get("text")
        await stream.came(event["bytes"] if text is None else text)
