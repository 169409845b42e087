# SPDX-License-Identifier: Apache-2.0
"""A bare ASGI application for servers whose logs are looked at. It echoes; "close CODE" closes so, "raise" raises, "block N" blocks the
event loop for N seconds as a sync call would; the path /reject is refused."""
import time


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "http":
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
        return
    await receive()
    if scope["path"] == "/reject":
        await send({"type": "websocket.close", "code": 4403})
        return
    await send({"type": "websocket.accept"})
    while True:
        event = await receive()
        if event["type"] != "websocket.receive":
            return
        text = event.get("text") or ""
        if text.startswith("close "):
            await send({"type": "websocket.close", "code": int(text.split()[1])})
            return
        if text == "raise":
            raise ValueError("the application tripped")
        if text.startswith("block "):
            time.sleep(float(text.split()[1]))
        await send({"type": "websocket.send", "text": text})
