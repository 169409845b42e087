# SPDX-License-Identifier: Apache-2.0
"""libholdfast's shared library through ctypes, as a program in another language uses it: what include/holdfast.h says, no more."""
import ctypes as c
import queue
import time

from .drops import BUILD
from .process import DEADLINE, Timeout

TEXT, BINARY = 1, 2
KINDS = {1: "open", 2: "message", 3: "reconnecting", 4: "resumed", 5: "lost", 6: "close", 7: "state", 8: "rebound", 9: "authorized"}
SENDS = ["sent", "queued", "full", "too_big", "not_utf8", "not_open", "out_of_memory"]


class Record(c.Structure):
    _fields_ = [("cause", c.c_char_p), ("who", c.c_char_p), ("code", c.c_int), ("http", c.c_int), ("reason", c.c_char_p),
                ("held_ms", c.c_int64), ("silent_rx_ms", c.c_int64), ("silent_tx_ms", c.c_int64), ("rtt_ms", c.c_int64),
                ("unacked", c.c_uint64)]


class Message(c.Structure):
    _fields_ = [("type", c.c_int), ("data", c.c_void_p), ("size", c.c_size_t), ("number", c.c_uint64), ("sent", c.c_bool)]


class Lost(c.Structure):
    _fields_ = [("reason", c.c_char_p), ("received", c.c_uint64), ("acked", c.c_uint64), ("sent", c.c_uint64),
                ("old_received", c.c_int64), ("messages", c.POINTER(Message)), ("message_count", c.c_size_t)]


class Event(c.Structure):
    _fields_ = [("kind", c.c_int), ("state", c.c_int), ("type", c.c_int), ("data", c.c_void_p), ("size", c.c_size_t),
                ("number", c.c_uint64), ("protocol", c.c_char_p), ("session", c.c_char_p), ("gateway", c.c_bool),
                ("record", c.POINTER(Record)), ("lost", c.POINTER(Lost)), ("attempts", c.c_uint64), ("delay_ms", c.c_int64),
                ("away_ms", c.c_int64), ("from_", c.c_uint64), ("to", c.c_uint64), ("expires", c.c_int64), ("url", c.c_char_p)]


HANDLER = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p, c.POINTER(Event))
_library = None


def library():
    global _library
    if _library is None:
        _library = c.CDLL(str(next(BUILD.glob("**/libholdfast.so"))))
        for name in ("holdfast_options_new", "holdfast_client_new"):
            getattr(_library, name).restype = c.c_void_p
        for name in ("holdfast_options_error", "holdfast_status_text"):
            getattr(_library, name).restype = c.c_char_p
    return _library


def plain(structure):
    """The fields as a dict, without pointers."""
    values = {name: getattr(structure, name) for name, kind in structure._fields_ if kind not in (c.c_void_p,) and name != "messages"}
    return {name: v.decode(errors="replace") if isinstance(v, bytes) else v for name, v in values.items()}


class Client:
    """One client with a thread of its own. Everything it says waits in `events` as (kind, fields)."""

    def __init__(self, url, hf1=True, heartbeat=None, options=None):
        """options(library, options): sets more of them; 0 when it went well."""
        more = options
        h = library()
        self.events = queue.Queue()
        self.history = []  # what `next` has taken out
        self.handler = HANDLER(self.on_event)
        options = c.c_void_p(h.holdfast_options_new())
        for status in (h.holdfast_options_add_url(options, url.encode()), h.holdfast_options_set_proxy(options, b""),
                       h.holdfast_options_set_heartbeat(options, c.c_int64(heartbeat[0]), c.c_int64(heartbeat[1])) if heartbeat else 0):
            assert status == 0, h.holdfast_options_error(options)
        h.holdfast_options_set_hf1(options, c.c_bool(hf1))
        assert not (more and more(h, options)), h.holdfast_options_error(options)
        h.holdfast_options_set_handler(options, self.handler, None)
        self.client = c.c_void_p(h.holdfast_client_new(None, options, None))
        h.holdfast_options_free(options)
        assert self.client

    def on_event(self, _, __, event):
        e = event.contents
        fields = plain(e)
        if e.kind == 2:
            data = c.string_at(e.data, e.size)
            fields["data"] = data.decode() if e.type == TEXT else data
        for name in ("record", "lost"):
            pointer = getattr(e, name)
            fields[name] = plain(pointer.contents) if pointer else None
        self.events.put((KINDS.get(e.kind, e.kind), fields))

    def send(self, data):
        raw = data.encode() if isinstance(data, str) else data
        return SENDS[library().holdfast_client_send(self.client, TEXT if isinstance(data, str) else BINARY, raw, c.c_size_t(len(raw)))]

    def send_text(self, raw):
        """Bytes as a text, whatever they are."""
        return SENDS[library().holdfast_client_send(self.client, TEXT, raw, c.c_size_t(len(raw)))]

    def any(self, within=DEADLINE):
        """The next event, whatever it is: (kind, fields)."""
        try:
            got = self.events.get(timeout=max(0, within))
        except queue.Empty:
            raise Timeout(f"no event within {within:.1f} s; last: {self.history[-5:]}") from None
        self.history.append(got)
        return got

    def next(self, kind, within=DEADLINE):
        """The fields of the next event of this kind; those before it are in `history`."""
        end = time.monotonic() + within
        while True:
            came, fields = self.any(end - time.monotonic())
            if came == kind:
                return fields

    def kinds(self):
        """How many events of each kind there were."""
        while not self.events.empty():
            self.history.append(self.events.get())
        return {kind: sum(k == kind for k, _ in self.history) for kind in KINDS.values()}

    def close(self, code=1000, reason=""):
        assert library().holdfast_client_close(self.client, code, reason.encode()) == 0

    def free(self):
        if self.client:
            library().holdfast_client_free(self.client)
            self.client = None
