# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 8.1: text is UTF-8. With utf8_check the gateway sees to it, as the bytes come; without it the backend does."""
import pytest

from harness.raw import BINARY, CLOSE, CONT, PING, PONG, TEXT

GOOD = {
    "ascii": b"Hello, world", "empty": b"", "nul": b"\x00", "mixed": "Hello-µ@ßöäüàá-UTF-8!!".encode(), "kosme": "κόσμε".encode(),
    "first-1": b"\x00", "first-2": b"\xc2\x80", "first-3": b"\xe0\xa0\x80", "first-4": b"\xf0\x90\x80\x80",
    "last-1": b"\x7f", "last-2": b"\xdf\xbf", "last-3": b"\xef\xbf\xbf", "last-4": b"\xf4\x8f\xbf\xbf",
    "below-surrogates": b"\xed\x9f\xbf", "above-surrogates": b"\xee\x80\x80", "replacement": b"\xef\xbf\xbd",
    "plane-1": b"\xf0\x9d\x84\x9e", "plane-3": b"\xf3\xb0\x80\x80", "fffe": b"\xef\xbf\xbe", "ffff": b"\xef\xbf\xbf",
    "1fffe": b"\xf0\x9f\xbf\xbe", "10ffff": b"\xf4\x8f\xbf\xbf", "bom": b"\xef\xbb\xbfx", "fdd0": b"\xef\xb7\x90",
}
BAD = {
    "lone-80": b"\x80", "lone-bf": b"\xbf", "two-continuations": b"\x80\xbf", "all-continuations": bytes(range(0x80, 0xC0)),
    "fe": b"\xfe", "ff": b"\xff", "fe-fe-ff-ff": b"\xfe\xfe\xff\xff",
    "lead-2-space": b"\xc2 ", "lead-3-space": b"\xe1\x80 ", "lead-4-space": b"\xf1\x80\x80 ",
    "cut-2": b"\xdf", "cut-3": b"\xef\xbf", "cut-3-early": b"\xe1", "cut-4": b"\xf0\x90\x80", "cut-4-early": b"\xf0\x90",
    "overlong-2f-2": b"\xc0\xaf", "overlong-2f-3": b"\xe0\x80\xaf", "overlong-2f-4": b"\xf0\x80\x80\xaf",
    "overlong-2f-5": b"\xf8\x80\x80\x80\xaf", "overlong-2f-6": b"\xfc\x80\x80\x80\x80\xaf",
    "overlong-max-2": b"\xc1\xbf", "overlong-max-3": b"\xe0\x9f\xbf", "overlong-max-4": b"\xf0\x8f\xbf\xbf",
    "overlong-nul-2": b"\xc0\x80", "overlong-nul-3": b"\xe0\x80\x80",
    "surrogate-d800": b"\xed\xa0\x80", "surrogate-dbff": b"\xed\xaf\xbf", "surrogate-dc00": b"\xed\xb0\x80",
    "surrogate-dfff": b"\xed\xbf\xbf", "surrogate-pair": b"\xed\xa0\x80\xed\xb0\x80",
    "110000": b"\xf4\x90\x80\x80", "f5": b"\xf5\x80\x80\x80", "five-bytes": b"\xf8\x88\x80\x80\x80",
    "six-bytes": b"\xfc\x84\x80\x80\x80\x80", "kosme-surrogate-edited": "κόσμε".encode() + b"\xed\xa0\x80" + b"edited",
    "kosme-110000-edited": "κόσμε".encode() + b"\xf4\x90\x80\x80" + b"edited",
}


def named(table):
    return [pytest.param(value, id=name) for name, value in table.items()]


@pytest.fixture
def checked(stage):
    return lambda: stage.open("client", "raw-utf8")


@pytest.mark.parametrize("text", named(GOOD))
def test_8_1_valid_text_passes_untouched(checked, text, chop):
    s = checked()
    data = s.frame(TEXT, text)
    s.put(data, chop).arrives(data).still_open()


@pytest.mark.parametrize("text", named(GOOD))
def test_8_1_a_fragment_may_end_within_a_character(checked, text, chop):
    s = checked()
    data = s.frame(TEXT, b"", fin=False)
    data += b"".join(s.frame(CONT, text[i:i + 1], fin=False) for i in range(len(text))) + s.frame(CONT)
    s.put(data, chop).arrives(data).still_open()


@pytest.mark.parametrize("text", named(BAD))
def test_8_1_invalid_text_ends_with_1007_and_none_of_it_reaches_the_backend(checked, text):
    s = checked()
    s.put(s.frame(TEXT, text)).refused(1007)


@pytest.mark.parametrize("text", named(BAD))
def test_8_1_invalid_text_that_comes_bytewise_ends_with_1007_and_its_frame_is_never_finished(checked, text):
    s = checked()
    data = s.frame(TEXT, b"good " + text)
    s.put(data[:8]).arrives(data[:8])  # the frame is open at the backend
    s.put(data[8:], 1).refused_within_a_frame(data[8:-1], 1007)


@pytest.mark.parametrize("text", named(BAD))
def test_8_1_invalid_text_in_fragments_ends_with_1007(checked, text):
    s = checked()
    pieces = [s.frame(TEXT, b"good", fin=False)] + [s.frame(CONT, text[i:i + 1], fin=False) for i in range(len(text))]
    s.put(b"".join(pieces) + s.frame(CONT))
    s.own_close(s.client, 1007)
    assert s.client.read_end() == b""
    assert s.served.take(len(pieces[0])) == pieces[0]
    last = None
    while True:  # whole fragments that were still good, then the Close of a lost peer
        last = s.served.read_frame()
        if last.opcode == CLOSE:
            break
        assert last.opcode == CONT and not last.fin, "the message was finished for the backend"
    assert last.code == 1001


@pytest.mark.parametrize("bad", [b"\xf4\x90", b"\xed\xa0", b"\xc0", b"\xff", b"\xf8"])
def test_8_1_the_fault_is_told_as_soon_as_it_can_be_known(checked, bad):
    """Fail fast: the frame, or the message, is not whole yet."""
    for good in (b"", "κόσμε".encode()):
        s = checked()
        s.put(s.frame(TEXT, good + bad + b"more to come")[:6 + len(good + bad)])
        s.own_close(s.client, 1007)
        s = checked()
        s.put(s.frame(TEXT, good, fin=False) + s.frame(CONT, bad, fin=False))
        s.own_close(s.client, 1007)


def test_8_1_a_message_that_could_still_become_valid_is_waited_for(checked):
    s = checked()
    data = s.frame(TEXT, b"\xf4\x8f\xbf\xbf")
    for end in range(7, len(data)):
        s.put(data[end - 1:end] if end > 7 else data[:end])
    s.client.silent(0.05)
    s.put(data[len(data) - 1:]).arrives(data).still_open()


def test_8_1_control_frames_between_fragments_do_not_disturb_the_check(checked):
    s = checked()
    first, last = s.frame(TEXT, b"\xce", fin=False), s.frame(CONT, b"\xba")
    s.put(first + s.frame(PING, b"\xff\xfe") + s.frame(PONG, b"\x80") + last).arrives(first + last)
    f = s.client.read_frame()
    assert (f.opcode, f.payload) == (PONG, b"\xff\xfe")
    s.still_open()


def test_8_1_each_message_is_checked_anew(checked):
    s = checked()
    data = s.frame(TEXT, "κόσμε") + s.frame(BINARY, b"\xff") + s.frame(TEXT, "κόσμε") + s.frame(BINARY, b"\xce")
    s.put(data).arrives(data).put(s.frame(TEXT, b"\xba")).refused(1007)


def test_8_1_a_large_text_is_checked_to_its_last_byte(checked):
    s = checked()
    text = "κόσμε𝄞".encode() * 6000
    data = s.frame(TEXT, text)
    s.put(data).arrives(data)
    s.put(s.frame(TEXT, text[:-1]))
    s.own_close(s.client, 1007)


# ---- without the check

@pytest.mark.parametrize("text", named(BAD))
def test_8_1_without_utf8_check_invalid_text_reaches_the_backend_as_it_is(stage, text):
    s = stage.open("client", "raw")
    data = s.frame(TEXT, text)
    s.put(data).arrives(data).still_open()


@pytest.mark.parametrize("text", named(BAD))
def test_8_1_without_utf8_check_a_conforming_backend_judges_and_its_1007_reaches_the_client(stage, text):
    client = stage.echo()
    client.send_text(text)
    f = client.read_frame()
    assert (f.opcode, f.code) == (CLOSE, 1007), f


@pytest.mark.parametrize("text", named(GOOD))
@pytest.mark.parametrize("route", ["echo", "echo-utf8"])
def test_8_1_valid_text_is_echoed_with_and_without_the_check(stage, route, text):
    client = stage.echo(route)
    client.send_text(text)
    f = client.read_frame()
    assert (f.opcode, f.payload) == (TEXT, text)


@pytest.mark.parametrize("text", named(BAD))
def test_8_1_with_utf8_check_a_conforming_backend_never_sees_invalid_text(stage, text):
    client = stage.echo("echo-utf8")
    client.send_text(text)
    f = client.read_frame()
    assert (f.opcode, f.code) == (CLOSE, 1007), f
