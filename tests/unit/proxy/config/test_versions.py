"""Which versions a pin takes."""

from __future__ import annotations

import pytest

from headgate.proxy.config.versions import takes


@pytest.mark.parametrize(
    ("wanted", "version", "is_taken"),
    [
        ("1.4.2", "1.4.2", True),
        ("1.4", "1.4.0", True),  # PEP 440: trailing zeros say nothing
        ("1.4", "1.4.1", False),
        ("v1.4", "1.4", True),
        (">=1.2,<2", "1.2", True),
        (">=1.2,<2", "1.99", True),
        (">=1.2,<2", "2.0", False),
        (">=1.2,<2", "1.1.9", False),
        ("~=1.4.2", "1.4.9", True),
        ("~=1.4.2", "1.5", False),
        ("==1.4.*", "1.4.7", True),
        ("!=1.4.2", "1.4.2", False),
        (">=1.2", "2.0rc1", False),  # not asked for
        (">=2.0rc1", "2.0rc1", True),
        ("2.0rc1", "2.0rc1", True),
        ("1.4.2", "1.4.2+local.1", True),  # PEP 440: who names no local version takes each
        (">=0", "unknown", False),
        (">=0", "", False),
    ],
)
def test_a_pin_takes(wanted: str, version: str, is_taken: bool) -> None:
    assert takes(wanted, version) is is_taken


@pytest.mark.parametrize("wanted", ["", " ", "one", ">=", ">= one", "1.2 || 2", ">=1.2;<2", "^1.2"])
def test_what_is_no_specifier_is_refused(wanted: str) -> None:
    with pytest.raises(ValueError, match="wanted a version, or a range of versions, such as"):
        takes(wanted, "1.2")
