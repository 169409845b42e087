# SPDX-License-Identifier: Apache-2.0
"""Story A's application: a Django Channels inbox on Daphne, which knows nothing of any gateway.

/ws/inbox/?token=JWT (HS256, verified here by PyJWT with the key in INBOX_SECRET); {"type":"ping"} is answered by
{"type":"pong"}; {"type":"say","text":…} goes to every inbox of the same user; {"type":"close","code":N} closes."""
import os
from urllib.parse import parse_qs

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="not used by this test",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()

import jwt  # noqa: E402
from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import path  # noqa: E402


class Inbox(AsyncJsonWebsocketConsumer):
    group = None

    async def connect(self):
        query = parse_qs(self.scope["query_string"].decode())
        try:
            claims = jwt.decode(query["token"][0], os.environ["INBOX_SECRET"], algorithms=["HS256"])
        except (KeyError, jwt.PyJWTError):
            await self.close()  # before accept: Daphne answers 403
            return
        self.user = claims["sub"]
        self.group = f"inbox.{self.user}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        headers = {k.decode(): v.decode() for k, v in self.scope["headers"]}
        await self.send_json({"type": "welcome", "user": self.user, "headers": headers})

    async def disconnect(self, code):
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive_json(self, content):
        kind = content.get("type")
        if kind == "ping":
            await self.send_json({"type": "pong"})
        elif kind == "say":
            await self.channel_layer.group_send(self.group, {"type": "inbox.message", "text": content["text"]})
        elif kind == "close":
            await self.close(code=content["code"])

    async def inbox_message(self, event):
        await self.send_json({"type": "message", "text": event["text"]})


application = ProtocolTypeRouter({
    "http": get_asgi_application(),
    "websocket": URLRouter([path("ws/inbox/", Inbox.as_asgi())]),
})
