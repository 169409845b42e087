# SPDX-License-Identifier: Apache-2.0
"""Numbered messages as a Django Channels application, for Daphne: see numbered.py."""
import django
from django.conf import settings

settings.configure(SECRET_KEY="not used by this test", ALLOWED_HOSTS=["*"], INSTALLED_APPS=["channels"])
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

import numbered  # noqa: E402


class Numbers(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()
        self.stream = numbered.opened(self.scope["query_string"].decode(), self.send_either)

    async def disconnect(self, code):
        self.stream.disconnected(code)

    async def receive(self, text_data=None, bytes_data=None):
        await self.stream.came(text_data if text_data is not None else bytes_data)

    async def send_either(self, data):
        await (self.send(text_data=data) if isinstance(data, str) else self.send(bytes_data=data))


async def http(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": numbered.report().encode()})


application = ProtocolTypeRouter({"http": http, "websocket": URLRouter([path("ws/numbers/", Numbers.as_asgi())])})
