"""The pure modules whose mutants are run, with the tests that have to notice them: the fast ones first."""

from __future__ import annotations

_EXCHANGE = (
    "tests/property/exchange/test_laws.py::test_the_first_worlds_keep_every_law",
    "tests/property/exchange/test_examples.py",
    "tests/property/exchange/test_contexts.py",
    "tests/property/exchange/test_resume_elsewhere.py",
    "tests/property/exchange/test_mistakes.py",
    "tests/property/exchange/test_table.py",
    "tests/property/exchange/test_laws.py::test_law",
    "tests/property/exchange/test_twins.py::test_so_it_is_in_hundreds_of_seeded_worlds",
)
_HEALTH = "tests/unit/proxy/upstream/health/test_"
_HEALTH_LAWS = "tests/property/health/test_"
WATCHED: dict[str, tuple[str, ...]] = {
    "proxy/exchange/choice.py": _EXCHANGE,
    "proxy/exchange/machine.py": _EXCHANGE,
    "proxy/exchange/patience.py": _EXCHANGE,
    "proxy/exchange/progress.py": ("tests/property/exchange/test_progress.py",),
    "proxy/upstream/health/balancer.py": (_HEALTH + "balancer.py", _HEALTH_LAWS + "cluster_laws.py"),
    "proxy/upstream/health/breaker.py": (
        _HEALTH + "breaker.py",
        _HEALTH_LAWS + "outage_figures.py",
        _HEALTH_LAWS + "breaker_laws.py",
    ),
    "proxy/upstream/health/budget.py": (_HEALTH + "budget.py", _HEALTH_LAWS + "budget_laws.py"),
    "proxy/upstream/health/outlier.py": (_HEALTH + "outlier.py", _HEALTH_LAWS + "cluster_laws.py"),
}
