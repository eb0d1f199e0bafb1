"""Calls of operators that plugins answer."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from headgate.proxy.operation import MAX_ARGUMENTS, arguments_of, operation_of


class Counter:
    """A plugin that takes such calls."""

    def operate(self, action: str, arguments: Mapping[str, str]) -> Mapping[str, object]:
        return {action: dict(arguments)}


INSTANCES = {"counter": Counter(), "plain": object()}


def test_the_path_names_plugin_and_action() -> None:
    found = operation_of(INSTANCES, "/plugins/counter/reset")
    assert found is not None
    operate, action = found
    assert operate(action, {"a": "1"}) == {"reset": {"a": "1"}}


@pytest.mark.parametrize(
    "path",
    ["/plugins", "/plugins/", "/plugins/counter", "/plugins/counter/", "/plugins/plain/reset", "/plugins/none/reset",
     "/counter/reset", "/x/plugins/counter/reset"],
)  # fmt: skip
def test_other_paths_are_nobodys(path: str) -> None:
    assert operation_of(INSTANCES, path) is None


def test_arguments_are_decoded() -> None:
    assert arguments_of("") == {}
    assert arguments_of("url=https://a/b%3Fc%26d&empty=") == {"url": "https://a/b?c&d", "empty": ""}


@pytest.mark.parametrize("query", ["a", "a=1&a=2", "a=1&b", "&".join(f"a{n}=1" for n in range(MAX_ARGUMENTS + 1))])
def test_unclear_arguments_are_refused(query: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        arguments_of(query)
