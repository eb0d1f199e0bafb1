"""The pure modules whose mutants are run, with the tests that have to notice them: the fast ones first."""

from __future__ import annotations

_EXCHANGE = (
    "tests/property/exchange/test_laws.py::test_the_first_worlds_keep_every_law",
    "tests/property/exchange/test_examples.py",
    "tests/property/exchange/test_contexts.py",
    "tests/property/exchange/test_mistakes.py",
    "tests/property/exchange/test_table.py",
    "tests/property/exchange/test_laws.py::test_law",
    "tests/property/exchange/test_twins.py::test_so_it_is_in_hundreds_of_seeded_worlds",
)
WATCHED: dict[str, tuple[str, ...]] = {
    "proxy/exchange/choice.py": _EXCHANGE,
    "proxy/exchange/machine.py": _EXCHANGE,
    "proxy/exchange/patience.py": _EXCHANGE,
}
