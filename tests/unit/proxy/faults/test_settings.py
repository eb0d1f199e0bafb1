"""What the upstream says and how fast."""

from __future__ import annotations

import pytest

from headgate.proxy.faults.settings import MAX_TEXT_BYTES, Settings, SettingsError, changed
from headgate.proxy.faults.words import MAX_TOKENS, tokens_of


def test_what_is_shown_may_be_set() -> None:
    settings = Settings("heavy", "a b", 0.25, 0.01, 60.0)
    assert changed(Settings(), settings.shown()) == settings


def test_only_what_is_named_changes() -> None:
    assert changed(Settings(pace_s=1.0), {"delay": "2s"}) == Settings(pace_s=1.0, delay_s=2.0)


def test_bounds_are_within() -> None:
    assert len(tokens_of(changed(Settings(), {"tokens": MAX_TOKENS}).text)) == MAX_TOKENS
    assert len(changed(Settings(), {"text": "x" * MAX_TEXT_BYTES}).text) == MAX_TEXT_BYTES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": MAX_TOKENS + 1}, "wanted a whole number from 0 to 100000"),
        ({"tokens": True}, "tokens: got true"),
        ({"tokens": 1, "text": "a"}, "wanted one of them"),
        ({"text": "é" * (MAX_TEXT_BYTES // 2 + 1)}, f"got {MAX_TEXT_BYTES + 2} bytes"),
        ({"text": "\ud800"}, "wanted UTF-8"),
        ({"text": 3}, "text: got 3"),
        ({"name": "a,b"}, "name: got"),
        ({"name": "x" * 101}, "name: got"),
        ({"delay": "5"}, "delay: got"),
        ({"hold": "0s"}, "wanted a duration above zero"),
        ({"paces": "1s"}, "did you mean `pace`?"),
    ],
)
def test_a_wrong_setting_is_one_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        changed(Settings(), changes)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
