"""What a JSON answer tells of its tokens."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Read = Callable[[bytes], tuple[int | None, int | None]]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"usage":{"prompt_tokens":7,"completion_tokens":11,"total_tokens":18}}', (7, 11)),
        (b' {"id": "x", "choices": [{"usage": {"prompt_tokens": 1}}], "usage": {"completion_tokens": 0}} ', (None, 0)),
        (b'{"usage":{"prompt_tokens":999999999999999999}}', (10**18 - 1, None)),
        (b'{"usage":{"prompt_tokens":1000000000000000000}}', (10**18, None)),
        (b'{"usage":{"prompt_tokens":18446744073709551615}}', (2**64 - 1, None)),
        (b'{"usage":{"prompt_tokens":7.0,"completion_tokens":1e2}}', (None, None)),
        (b'{"usage":{"prompt_tokens":-7,"completion_tokens":true}}', (None, None)),
        (b'{"usage":{"prompt_tokens":"7","completion_tokens":null}}', (None, None)),
        (b'{"usage":{"prompt_tokens":[7],"completion_tokens":{"a":7}}}', (None, None)),
        (b'{"usage":{"prompt_tokens":1},"usage":{"completion_tokens":2}}', (None, 2)),
        (b'{"usage":{"prompt_tokens":1},"usage":null}', (None, None)),
        (b'{"usage":{"prompt_tokens":1,"prompt_tokens":2,"completion_tokens":3,"completion_tokens":"4"}}', (2, None)),
        (b'{"\\u0075sage":{"prompt_tokens":1}}', (1, None)),
        (b'{"usage":{"prompt_tokens":1},"\\u0075sage":{"prompt_tokens":2}}', (2, None)),
        (b'{"usage":{"prompt_tokens":1,"prompt\\u005ftokens":2}}', (2, None)),
        (b'{"usage":{"prompt_details":{"prompt_tokens":3},"prompt_tokens":1}}', (1, None)),
        (b'{"usage":[7,11]}', (None, None)),
        (b'{"usage":{}}', (None, None)),
        (b'[{"usage":{"prompt_tokens":1}}]', (None, None)),
        (b'{"usage":{"prompt_tokens":7}', (None, None)),
        (b'{"usage":{"prompt_tokens":7}}x', (None, None)),
        (b'{"usage":{"prompt_tokens":07}}', (None, None)),
        (b'{"usage":{"prompt_tokens":7},"a":"\xff"}', (None, None)),
        (b'{"a":' + b"[" * 500 + b"]" * 500 + b',"usage":{"prompt_tokens":7}}', (7, None)),
        (b"{}", (None, None)),
        (b"", (None, None)),
    ],
)
def test_what_is_told_and_what_is_not(read_usage: Read, body: bytes, told: tuple[int | None, int | None]) -> None:
    assert read_usage(body) == told
