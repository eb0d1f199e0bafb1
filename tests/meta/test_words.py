"""What stands nowhere in the repository, or only where there is a reason."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from .tree import ROOT, files, python_files

# (file, how often, why): the places that may catch everything. Nothing else may.
CATCH_ALL = (
    ("bench/kernels/attempts.py", 1, "a kernel or peer under test: its failure is a row"),
    ("inference/server.py", 1, "the last place that can still answer the client"),
    ("inference/tokenizer.py", 1, "the binding raises nothing narrower"),
    ("inference/worker.py", 1, "one request's failure must not end the thread that serves the others"),
    ("plugins/aggregate/options.py", 1, "a plugin's code: the import of a scorer of others"),
    ("plugins/aggregate/scorers.py", 1, "a plugin's code: a scorer of others"),
    ("plugins/api_key/key_source.py", 1, "supervision: keys must go on being looked at"),
    ("plugins/cache/second/ear.py", 1, "supervision: it must go on listening"),
    ("plugins/cache/second/link.py", 2, "redis-py raises nothing narrower for what it cannot read"),
    ("plugins/testing/law_machine.py", 1, "noted, and held against the plugin, before the core swallows it"),
    ("plugins/prompt_guard/plugin.py", 1, "its stage fails open, and a guard that breaks must not"),
    ("proxy/admin_calls.py", 1, "supervision: the call ends with a 500 and its log line"),
    ("proxy/compile.py", 1, "a plugin's code: headgate_configure"),
    ("proxy/config/schema_plugins.py", 1, "a plugin's code: its validators"),
    ("proxy/gateway.py", 1, "supervision: the exchange ends with a 500 and its log line"),
    ("proxy/guards.py", 2, "a plugin's code: stage hooks under a guard"),
    ("proxy/hooks.py", 3, "a plugin's code: its import, its constructor, its annotations"),
    ("proxy/metering.py", 1, "a plugin's code: a meter of a reservation"),
    ("proxy/observe/metrics.py", 1, "a plugin's code: a gauge that is read when shown"),
    ("proxy/plugin_close.py", 1, "a plugin's code: close"),
    ("proxy/record.py", 2, "a plugin's code: a cache's store, a reservation"),
    (
        "proxy/lane/call.py",
        1,
        "a fault of our own while an answer is passed on ends that exchange, not the connection's loop",
    ),
    ("proxy/lane/answer.py", 1, "the same, for events that go on as they came"),
    ("proxy/lane/connecting.py", 1, "a fault of the gateway while it connects is answered, as one anywhere else"),
    ("proxy/lane/serving.py", 2, "the same for stages and everything before the answer"),
    ("proxy/stages.py", 5, "a plugin's code: stage hooks"),
    ("tests/integration/upstream/script_server.py", 1, "kept, and raised when the test ends"),
)
# The patterns are put together here, so that this file does not hold what it forbids.
WORKPLACE = re.compile(r"\bfarm" + r"-\w|bash_" + r"jobs|/wor" + r"k/|/tm" + r"p/\w")
FORBIDDEN = {
    "a test that is not run": re.compile(r"pytest\." + r"(skip|importorskip)|\bx" + r"fail|skip" + r"if\b"),
    "a sleep as synchronisation": re.compile(r"\btime\." + r"sleep\("),
    "an ignored type error without its code": re.compile(r"# type: " + r"ignore(?!\[[a-z-]+(, ?[a-z-]+)*\])"),
    "a silenced rule without its code": re.compile(r"# no" + r"qa(?!: [A-Z]+[0-9]+)"),
    "work left for later": re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"),
}
_CATCHES = re.compile(r"^\s*except\b[^:]*\bException\b[^:]*:", re.MULTILINE)


def lines_with(pattern: re.Pattern[str], suffixes: tuple[str, ...] = ()) -> list[str]:
    found = []
    for path in files():
        if suffixes and path.suffix not in suffixes:
            continue
        text = (ROOT / path).read_bytes().decode("utf-8", "replace")
        found += [f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}" for match in pattern.finditer(text)]
    return found


def test_the_project_speaks_of_itself_alone() -> None:
    assert not lines_with(WORKPLACE)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_code_is_free_of(what: str) -> None:
    assert not lines_with(FORBIDDEN[what], (".py", ".pyx", ".pyi"))


def test_everything_is_caught_only_where_there_is_a_reason() -> None:
    counts = Counter(line.partition(":")[0] for line in lines_with(_CATCHES, (".py", ".pyx")))
    assert dict(counts) == {name: number for name, number, _ in CATCH_ALL}


def test_the_patterns_find_what_they_are_for() -> None:
    bad = {
        "a test that is not run": "pytest." + "skip('no')",
        "a sleep as synchronisation": "time." + "sleep(1)",
        "an ignored type error without its code": "x = 1  # type: " + "ignore",
        "a silenced rule without its code": "x = 1  # no" + "qa",
        "work left for later": "# TO" + "DO: all of it",
    }
    assert bad.keys() == FORBIDDEN.keys()
    assert all(FORBIDDEN[what].search(text) for what, text in bad.items())
    assert _CATCHES.search("try:\n    pass\nexcept (OSError, Exception) as error:\n")
    assert not FORBIDDEN["an ignored type error without its code"].search("x = 1  # type: " + "ignore[misc, arg-type]")


def test_every_python_file_says_what_it_holds() -> None:
    silent = [str(path) for path in python_files() if not (ROOT / path).read_text().lstrip().startswith('"""')]
    assert not silent
