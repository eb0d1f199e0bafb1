"""The hashes of a prompt's beginnings: which they are, how many, and what they depend on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from headgate.ext.head_scan import BodyScan

Scan = Callable[[bytes], BodyScan | None]


def hashes(scan_head: Scan, prompt: bytes, before: bytes = b"", name: bytes = b"prompt") -> tuple[int, ...]:
    found = scan_head(b'{%b"%b": %b}' % (before, name, prompt))
    assert found is not None
    return found.prefix_hashes()


def test_hashes_are_these(scan_head: Scan) -> None:
    assert hashes(scan_head, b'"%b"' % (b"a" * 510)) == (0x9B4D64DED96598C4,)
    text = bytes(97 + number * number % 26 for number in range(1022))
    assert hashes(scan_head, b'"%b"' % text) == (0x9647898F97B4639E, 0x6B4F604447768A5F)


@pytest.mark.parametrize(
    ("size", "num"), [(2, 0), (511, 0), (512, 1), (513, 1), (1023, 1), (1024, 2), (16383, 31), (16384, 32), (99999, 32)]
)
def test_each_whole_block_has_a_hash_up_to_the_last(scan_head: Scan, size: int, num: int) -> None:
    found = hashes(scan_head, b'"%b"' % (b"a" * (size - 2)))
    assert len(found) == len(set(found)) == num
    assert all(0 <= each < 2**64 for each in found)


def test_prompts_that_begin_alike_have_the_same_first_hashes(scan_head: Scan) -> None:
    text = bytes(97 + number * number % 26 for number in range(4094))
    found = hashes(scan_head, b'"%b"' % text)
    for at in range(0, len(text), 7):
        other = hashes(scan_head, b'"%b"' % (text[:at] + b"!" + text[at + 1 :]))
        block = (at + 1) // 512
        assert other[:block] == found[:block]
        assert all(a != b for a, b in zip(other[block:], found[block:], strict=True))


def test_hashes_do_not_depend_on_what_stands_before_the_prompt(scan_head: Scan) -> None:
    prompt = b'[{"role": "user", "content": "%b"}]' % (b"word " * 400)
    found = hashes(scan_head, prompt)
    assert len(found) == 3
    assert found == hashes(scan_head, prompt, b'"model": "m", "user": "u", ')
    assert found == hashes(scan_head, prompt, name=b"messages")
    assert found == hashes(scan_head, prompt, b'"prompt": "other", ', name=b"messages")
    assert found == hashes(scan_head, b'"other"', b'"messages": %b, ' % prompt)
    assert hashes(scan_head, prompt, name=b"input") == ()


def test_hashes_of_near_prompts_differ_in_half_of_their_bits(scan_head: Scan) -> None:
    bits = [
        (first ^ second).bit_count()
        for text in ([b"a" * at + b"%d" % digit + b"b" * (509 - at) for digit in range(10)] for at in range(510))
        for (first,), (second,) in pairwise([hashes(scan_head, b'"%b"' % each) for each in text])
    ]
    assert 31 < sum(bits) / len(bits) < 33
    assert min(bits) > 8
