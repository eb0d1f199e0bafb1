"""An upstream that is cut before every byte of its answer.

Before the commit point the client gets one whole answer of another attempt, or one typed error.
After it the answer is never shown as complete, and nothing follows it.
"""

from __future__ import annotations

import pytest

from .case import ANSWERS, BAD_GATEWAY, After, Answer, Case, Do, Outcome, Script, Seen, cut, reached, relayed
from .stand import Stand

BODY = b"hello world"
HEADS = {
    "fixed": b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-A: b\r\n\r\n",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
}
CONTENTS = {"fixed": BODY, "chunked": b"5\r\nhello\r\n6;x\r\n world\r\n0\r\nX-T: 1\r\n\r\n"}
LAST_CHUNK = b"0\r\n"

GET = b"GET /case HTTP/1.1\r\nHost: hg.test\r\n\r\n"
GET_1_0 = b"GET /case HTTP/1.0\r\nHost: hg.test\r\n\r\n"
POST = b"POST /case HTTP/1.1\r\nHost: hg.test\r\nContent-Length: 5\r\n\r\nhello"

SOURCE = "RFC 9112 §8; the delivery contract"
ANOTHER = Outcome(reached(Seen()).answers, None, After.EITHER)
CUT = cut(BODY)

framings = pytest.mark.parametrize("framing", sorted(HEADS))
ends = pytest.mark.parametrize("end", [Do.FIN, Do.RESET], ids=["fin", "reset"])


def _play(stand: Stand, name: str, request: bytes, scripts: tuple[Script, ...], *outcomes: Outcome) -> str:
    return stand.play(Case(name, SOURCE, (request,), outcomes, scripts))


def _sent_once(outcome: Outcome) -> Outcome:
    return Outcome(outcome.answers, (Seen(b"POST", body=b"hello"),), outcome.after)


def _is_complete(framing: str, part: bytes) -> bool:
    """Whether all content has come: the last chunk is here, and only its trailers are missing."""
    return framing == "chunked" and LAST_CHUNK in part


@framings
@ends
def test_a_cut_in_the_head_is_answered_by_another_attempt_or_one_error(stand: Stand, framing: str, end: Do) -> None:
    head = HEADS[framing]
    reports = []
    for at in range(len(head)):
        broken: Script = (Do.READ_BODY, head[:at], end)
        reports += [
            _play(stand, f"get, then whole, byte {at}", GET, (broken, ANSWERS), ANOTHER, BAD_GATEWAY),
            _play(stand, f"get, always cut, byte {at}", GET, (broken,), BAD_GATEWAY),
            _play(stand, f"post is sent once, byte {at}", POST, (broken, ANSWERS), _sent_once(BAD_GATEWAY)),
        ]
    assert not "".join(reports), "\n".join(filter(None, reports))


@framings
@ends
def test_a_cut_behind_the_head_is_never_shown_as_complete(stand: Stand, framing: str, end: Do) -> None:
    """Head, part of the content and the cut arrive as one: commit or not is the gateway's choice."""
    reports = []
    for at in range(len(CONTENTS[framing])):
        part = CONTENTS[framing][:at]
        broken: Script = (Do.READ_BODY, HEADS[framing] + part, end)
        whole = (relayed(BODY),) if _is_complete(framing, part) else ()
        reports += [
            _play(stand, f"get, byte {at}", GET, (broken, ANSWERS), CUT, BAD_GATEWAY, ANOTHER, *whole),
            _play(stand, f"post is sent once, byte {at}", POST, (broken, ANSWERS),
                  *map(_sent_once, (CUT, BAD_GATEWAY, *whole))),
        ]  # fmt: skip
    assert not "".join(reports), "\n".join(filter(None, reports))


@framings
@ends
@pytest.mark.parametrize("request_bytes", [GET, GET_1_0, POST], ids=["get", "get-1.0", "post"])
def test_a_cut_after_commit_is_seen_by_the_client(stand: Stand, framing: str, end: Do, request_bytes: bytes) -> None:
    """The client already has the head when the cut comes: there is no other attempt, and no second answer."""
    method = request_bytes.split(b" ", 1)[0]
    body = b"hello" if method == b"POST" else b""
    seen = (Seen(method, body=body),)
    reports = []
    for at in range(len(CONTENTS[framing])):
        part = CONTENTS[framing][:at]
        scripts: tuple[Script, ...] = ((Do.READ_BODY, HEADS[framing] + part, Do.AWAIT_BEGUN, end), ANSWERS)
        answers = [Outcome(CUT.answers, seen, After.CLOSED)]
        if _is_complete(framing, part):
            answers.append(Outcome((Answer((200,), BODY),), seen, After.EITHER))
        reports.append(_play(stand, f"byte {at}", request_bytes, scripts, *answers))
    assert not "".join(reports), "\n".join(filter(None, reports))
