# SPDX-License-Identifier: Apache-2.0
"""RFC 7692 sections 5 to 7: permessage-deflate is agreed between client and backend; the gateway sees that it is agreed rightly."""
import itertools
import os
import random
import threading

import pytest

from harness.raw import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame
from stage import Deflate, agreed, offer

NAME = "permessage-deflate"
HEADER = "Sec-WebSocket-Extensions"
ZERO_MASK = b"\0\0\0\0"


def compact(value):
    return None if value is None else value.replace(" ", "")


def offered(stage, *values):
    """What reaches the backend of these headers."""
    _, served = stage.knock(headers=[(HEADER, v) for v in values])
    return compact(", ".join(served.head.all(HEADER)) or None)


def answered(stage, asked, *answers):
    """The status that a client gets that asked so when the backend answers so."""
    client, served = stage.knock(headers=[(HEADER, asked)] if asked else [])
    served.upgrade([(HEADER, a) for a in answers])
    head = client.read_head()
    if head.status == 101:
        assert [compact(v) for v in head.all(HEADER)] == [compact(a) for a in answers]
    return head.status


# ---- 5 and 7.1 Negotiation: offers

FINE = [
    "server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits",
    *[f"server_max_window_bits={n}" for n in range(8, 16)], *[f"client_max_window_bits={n}" for n in range(8, 16)],
    'server_max_window_bits="10"', 'client_max_window_bits="8"',
    "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=9",
    "client_max_window_bits; server_max_window_bits=15; client_no_context_takeover",
]
WRONG = {
    "7.1": ["unknown", "unknown=1", "x-own; server_no_context_takeover", "Server_No_Context_Takeover_"],
    "7.1.1.1": ["server_no_context_takeover=1", "server_no_context_takeover=true", 'server_no_context_takeover="x"',
                "server_no_context_takeover; server_no_context_takeover"],
    "7.1.1.2": ["client_no_context_takeover=1", "client_no_context_takeover; client_no_context_takeover"],
    "7.1.2.1": ["server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=0",
                "server_max_window_bits=08", "server_max_window_bits=010", "server_max_window_bits=-9", "server_max_window_bits=+9",
                "server_max_window_bits=9x", "server_max_window_bits=x", "server_max_window_bits=100000000009",
                "server_max_window_bits=9.0", "server_max_window_bits=9; server_max_window_bits=9",
                "server_max_window_bits=9; server_max_window_bits=10"],
    "7.1.2.2": ["client_max_window_bits=7", "client_max_window_bits=16", "client_max_window_bits=0", "client_max_window_bits=09",
                "client_max_window_bits=x", "client_max_window_bits; client_max_window_bits",
                "client_max_window_bits; client_max_window_bits=9", "client_max_window_bits=1e1"],
}
ALL_WRONG = [pytest.param(value, id=f"{section}-{value}") for section, values in WRONG.items() for value in values]


def test_7_1_a_bare_offer_reaches_the_backend(stage):
    assert offered(stage, NAME) == NAME


@pytest.mark.parametrize("params", FINE)
def test_7_1_a_well_formed_offer_reaches_the_backend_as_it_is(stage, params):
    assert offered(stage, f"{NAME}; {params}") == compact(f"{NAME}; {params}")


@pytest.mark.parametrize("params", ALL_WRONG)
def test_7_1_an_offer_that_breaks_a_rule_is_declined_and_the_next_one_is_kept(stage, params):
    assert offered(stage, f"{NAME}; {params}, {NAME}; client_max_window_bits") == f"{NAME};client_max_window_bits"


@pytest.mark.parametrize("params", ALL_WRONG)
def test_7_1_an_offer_that_breaks_a_rule_does_not_reach_the_backend_alone(stage, params):
    assert offered(stage, f"{NAME}; {params}") is None


def test_5_several_offers_reach_the_backend_in_the_order_of_preference(stage):
    values = f"{NAME}; server_max_window_bits=10, {NAME}; server_no_context_takeover, {NAME}"
    assert offered(stage, values) == compact(values)


def test_5_several_headers_are_one_list(stage):
    assert offered(stage, f"{NAME}; server_max_window_bits=10", f"x-other, {NAME}") == f"{NAME};server_max_window_bits=10,{NAME}"


def test_5_offers_of_extensions_that_are_not_known_are_taken_out_of_the_list(stage):
    assert offered(stage, f"x-one; a=b, {NAME}; client_max_window_bits, x-two") == f"{NAME};client_max_window_bits"


def test_5_an_extension_with_another_name_is_not_this_one(stage):
    for name in ("permessage-deflat", "permessage-deflate2", "x-permessage-deflate", "perframe-deflate", "x-webkit-deflate-frame"):
        assert offered(stage, name) is None


# ---- 7.1 Negotiation: answers

def test_5_the_backend_may_decline_every_offer(stage):
    assert answered(stage, NAME) == 101


@pytest.mark.parametrize("asked, answer", [
    ("", ""), ("", "server_no_context_takeover"), ("", "client_no_context_takeover"), ("", "server_max_window_bits=9"),
    ("", "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15"),
    ("server_no_context_takeover", "server_no_context_takeover"), ("client_no_context_takeover", ""),
    ("client_no_context_takeover", "client_no_context_takeover"), ("server_max_window_bits=12", "server_max_window_bits=12"),
    ("server_max_window_bits=12", "server_max_window_bits=8"), ("client_max_window_bits", ""),
    ("client_max_window_bits", "client_max_window_bits=8"), ("client_max_window_bits", "client_max_window_bits=15"),
    ("client_max_window_bits=10", "client_max_window_bits=10"), ("client_max_window_bits=10", "client_max_window_bits=9"),
    ("client_max_window_bits=10", ""), ("", 'server_max_window_bits="9"'),
    ("server_max_window_bits=9; client_max_window_bits=9; server_no_context_takeover",
     "client_max_window_bits=9; server_no_context_takeover; server_max_window_bits=9"),
])
def test_7_1_an_answer_that_fits_the_offer_opens_the_connection(stage, asked, answer):
    assert answered(stage, f"{NAME}; {asked}".rstrip("; "), f"{NAME}; {answer}".rstrip("; ")) == 101


@pytest.mark.parametrize("asked, answer", [
    pytest.param("server_no_context_takeover", "", id="7.1.1.1-not-accepted"),
    pytest.param("server_max_window_bits=10", "", id="7.1.2.1-not-accepted"),
    pytest.param("server_max_window_bits=10", "server_max_window_bits=11", id="7.1.2.1-larger"),
    pytest.param("", "client_max_window_bits=10", id="7.1.2.2-not-offered"),
    pytest.param("client_max_window_bits=10", "client_max_window_bits=11", id="7.1.2.2-larger"),
    pytest.param("client_max_window_bits", "client_max_window_bits", id="7.1.2.2-without-value"),
])
def test_7_1_an_answer_that_fits_no_offer_fails_the_connection(stage, asked, answer):
    assert answered(stage, f"{NAME}; {asked}".rstrip("; "), f"{NAME}; {answer}".rstrip("; ")) == 502


@pytest.mark.parametrize("params", ALL_WRONG)
def test_7_1_an_answer_that_breaks_a_rule_fails_the_connection(stage, params):
    assert answered(stage, f"{NAME}; client_max_window_bits", f"{NAME}; {params}") == 502


@pytest.mark.parametrize("asked", ["", "x-other", f"{NAME}; server_max_window_bits=7"], ids=["nothing", "another", "declined"])
def test_7_1_an_answer_to_no_offer_fails_the_connection(stage, asked):
    assert answered(stage, asked, NAME) == 502


@pytest.mark.parametrize("answers", [[f"{NAME}, {NAME}"], [NAME, NAME], [f"{NAME}, x-other"], ["x-other"], [""], [";"], [f"{NAME};"]],
                         ids=["list", "headers", "another-too", "another", "empty", "no-syntax", "half"])
def test_5_an_answer_that_is_not_one_extension_of_those_offered_fails_the_connection(stage, answers):
    assert answered(stage, f"{NAME}, x-other", *answers) == 502


def test_5_an_answer_may_fit_any_of_several_offers(stage):
    asked = f"{NAME}; server_max_window_bits=9, {NAME}; client_max_window_bits=12, {NAME}"
    for answer, status in (("server_max_window_bits=9", 101), ("client_max_window_bits=11", 101), ("", 101),
                           ("server_max_window_bits=15; client_max_window_bits=12", 101),
                           ("server_max_window_bits=10; client_max_window_bits=13", 502)):
        assert answered(stage, asked, f"{NAME}; {answer}".rstrip("; ")) == status, answer


# ---- 6 Framing: RSV1

def compressed(stage, sender):
    return stage.open(sender, headers=[(HEADER, NAME)], answer=[(HEADER, NAME)])


@pytest.fixture(params=["client", "backend"], ids=["by-client", "by-backend"])
def deflating(stage, request):
    return lambda: compressed(stage, request.param)


HELLO = bytes.fromhex("f248cdc9c90700")  # 7.2.3.1


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_6_rsv1_on_the_first_frame_says_that_the_message_is_compressed(deflating, opcode, chop):
    s = deflating()
    data = s.frame(opcode, HELLO, rsv=4)
    s.put(data, chop).arrives(data).still_open()


def test_6_1_fragments_of_a_compressed_message_carry_rsv1_on_the_first_alone(deflating, chop):
    s = deflating()
    data = s.frame(TEXT, HELLO[:3], rsv=4, fin=False) + s.frame(CONT, HELLO[3:])
    s.put(data, chop).arrives(data)
    first = s.frame(TEXT, HELLO[:3], rsv=4, fin=False)
    s.put(first + s.frame(CONT, HELLO[3:], rsv=4), chop).arrives(first).refused()


def test_6_1_rsv1_on_a_continuation_of_an_uncompressed_message_fails_the_connection(deflating):
    s = deflating()
    first = s.frame(TEXT, "plain", fin=False)
    s.put(first + s.frame(CONT, HELLO, rsv=4)).arrives(first).refused()


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_6_1_rsv1_on_a_control_frame_fails_the_connection(deflating, opcode, chop):
    s = deflating()
    s.put(s.frame(opcode, b"\x03\xe8", rsv=4), chop).refused()


def test_6_compressed_and_uncompressed_messages_may_follow_each_other(deflating):
    s = deflating()
    data = b"".join(s.frame(TEXT, HELLO, rsv=4) + s.frame(TEXT, "plain") + s.frame(BINARY, HELLO, rsv=4) for _ in range(10))
    s.put(data).arrives(data).still_open()


def test_6_control_frames_between_the_fragments_of_a_compressed_message_are_answered_uncompressed(deflating):
    s = deflating()
    first, last = s.frame(TEXT, HELLO[:3], rsv=4, fin=False), s.frame(CONT, HELLO[3:])
    s.put(first + s.frame(PING, "p") + last).arrives(first + last)
    f = s.sender.read_frame()
    assert (f.opcode, f.payload, f.rsv) == (PONG, b"p", 0)


def test_6_the_gateways_own_frames_carry_no_rsv1(deflating):
    s = deflating()
    s.put(s.frame(7))
    assert s.own_close(s.sender, 1002).rsv == 0
    assert s.own_close(s.receiver, s.lost_code).rsv == 0


# ---- 7.2.3 Examples: what is inside is the endpoints' own matter

@pytest.mark.parametrize("frames", [
    ["c107f248cdc9c90700"], ["4103f248cd", "8004c9c90700"], ["c107f248cdc9c90700", "c105f200110000"],
    ["c10b000500faff48656c6c6f00"], ["c108f348cdc9c9070000"], ["c10df24805000000ffffcac9c90700"], ["c10100"],
], ids=["7.2.3.1", "7.2.3.1-fragments", "7.2.3.2", "7.2.3.3", "7.2.3.4", "7.2.3.5", "7.2.3.6"])
def test_7_2_3_the_examples_of_the_section_pass_from_the_backend(stage, frames):
    s = compressed(stage, "backend")
    data = b"".join(bytes.fromhex(f) for f in frames)
    s.put(data).arrives(data).still_open()


# ---- 7.2 Compression, through to a backend that really does it

WORDS = [w.encode() for w in "holdfast keeps every session alive and says what killed those that died κόσμε 𝄞".split()]


def prose(size, seed=1):
    """Valid text of so many bytes, some of it repeated far apart, some of it hard to compress."""
    rng = random.Random(seed * 1_000_003 + size)
    out = bytearray()
    while len(out) < size:
        if rng.random() < 0.3:
            out += b"%x" % rng.getrandbits(64)
        out += rng.choice(WORDS) + b" "
    text = bytes(out[:size]).decode("utf-8", "ignore").encode()
    return text + b"." * (size - len(text))


def talk(stage, params, messages, route="echo", chop=0, fragment=None, opcode=TEXT):
    """Compresses each message, lets the backend echo it, and takes its answer apart by what was agreed."""
    client = stage.dial()
    head = client.ask(f"/{route}", headers=offer(**params))
    assert head.status == 101, head
    got = agreed(head)
    assert got is not None, "the echo agrees to compress"
    codec = Deflate(client_bits=int(got.get("client_max_window_bits") or (params.get("client_max_window_bits") or 15)),
                    server_bits=int(got.get("server_max_window_bits", 15)),
                    client_forgets="client_no_context_takeover" in got or params.get("client_no_context_takeover", False),
                    server_forgets="server_no_context_takeover" in got)
    for message in messages:
        wire = codec.compress(message)
        pieces = [wire[i:i + fragment] for i in range(0, len(wire), fragment)] if fragment else [wire]
        data = b"".join(frame(CONT if i else opcode, piece, rsv=0 if i else 4, fin=i == len(pieces) - 1, mask=os.urandom(4))
                        for i, piece in enumerate(pieces))
        if chop:
            client.send_slowly(data, chop)
        else:
            client.send(data)
        f = client.read_frame(20)
        assert (f.opcode, f.rsv) == (opcode, 4), f
        assert codec.decompress(f.payload) == message
    return got


@pytest.mark.parametrize("size", [16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_7_2_messages_of_every_size_are_compressed_there_and_back(stage, size, opcode):
    talk(stage, {}, [prose(size, i) for i in range(20 if size <= 8192 else 4)], opcode=opcode)


@pytest.mark.parametrize("server_bits", range(9, 16))
@pytest.mark.parametrize("client_bits", [None, True, *range(8, 16)])
def test_7_1_2_every_window_with_and_without_context_takeover_works_end_to_end(stage, server_bits, client_bits):
    for server_forgets, client_forgets in itertools.product([False, True], repeat=2):
        params = dict(server_max_window_bits=server_bits, client_max_window_bits=client_bits,
                      server_no_context_takeover=server_forgets, client_no_context_takeover=client_forgets)
        got = talk(stage, params, [prose(40), prose(3000), prose(3000), prose(40)])
        assert int(got["server_max_window_bits"]) <= server_bits
        assert ("server_no_context_takeover" in got) == server_forgets


@pytest.mark.parametrize("server_bits", [9, 12, 15])
@pytest.mark.parametrize("client_bits", [True, 9, 15])
@pytest.mark.parametrize("forget", [False, True], ids=["takeover", "no-takeover"])
def test_7_2_messages_larger_than_the_windows_are_compressed_there_and_back(stage, server_bits, client_bits, forget):
    params = dict(server_max_window_bits=server_bits, client_max_window_bits=client_bits, server_no_context_takeover=forget,
                  client_no_context_takeover=forget)
    talk(stage, params, [prose(131072), prose(65536), prose(16)])


def test_7_1_1_a_backend_that_takes_no_context_over_unasked_is_followed(stage):
    got = talk(stage, dict(client_max_window_bits=True), [prose(5000), prose(5000), prose(70000)], route="echo-tight")
    assert got == {"server_no_context_takeover": True, "client_no_context_takeover": True, "server_max_window_bits": "9",
                   "client_max_window_bits": "9"}


@pytest.mark.parametrize("fragment", [1, 7, 64, 1000])
def test_7_2_a_compressed_message_in_fragments_is_echoed(stage, fragment):
    talk(stage, {}, [prose(5000 if fragment > 10 else 300, i) for i in range(4)], fragment=fragment)


def test_7_2_a_compressed_message_that_comes_bytewise_is_echoed(stage):
    talk(stage, {}, [prose(1000, i) for i in range(3)], chop=1)


def test_7_2_a_message_of_1_mib_is_compressed_there_and_back(stage):
    talk(stage, {}, [prose(1 << 20)])


@pytest.mark.parametrize("size", [16, 256, 4096])
def test_7_2_five_hundred_compressed_messages_in_one_breath_come_back_in_order(stage, size):
    client = stage.dial()
    assert client.ask("/echo", headers=offer()).status == 101
    codec, messages = Deflate(), [prose(size, i) for i in range(500)]
    data = b"".join(frame(TEXT, codec.compress(m), rsv=4, mask=ZERO_MASK) for m in messages)
    threading.Thread(target=client.send, args=(data,), daemon=True).start()
    for message in messages:
        assert codec.decompress(client.read_frame(20).payload) == message


def test_7_2_2_the_backend_answers_data_that_does_not_inflate_and_its_close_reaches_the_client(stage):
    client = stage.dial()
    assert client.ask("/echo", headers=offer()).status == 101
    client.send(frame(TEXT, b"\xff\xff\xff\xff", rsv=4, mask=ZERO_MASK))
    f = client.read_frame()
    assert f.opcode == CLOSE and f.code in (1002, 1007), f
