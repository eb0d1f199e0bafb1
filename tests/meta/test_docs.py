"""The documents say what the code does."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
import types
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path

import orjson
import pytest
import yaml

from headgate.proxy.config.load import check
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.downstream.body import ClientBody
from headgate.proxy.errors import KINDS, Kind
from headgate.proxy.exchange.diagram import diagram
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Request
from headgate.proxy.exchange.plan import CAUSES
from headgate.proxy.exchange.priority import PRIORITIES
from headgate.proxy.exchange.states import State
from headgate.proxy.hook_timing import hook_seconds
from headgate.proxy.hooks import load_type
from headgate.proxy.hookspecs import STAGES, Hookspecs
from headgate.proxy.observe.access_log import AccessLog
from headgate.proxy.observe.metrics import AnyMetric, Metric, Registry
from headgate.proxy.observe.observer import Observer
from headgate.proxy.plugin_types import PluginTypes
from headgate.proxy.stages import count_of_failures
from headgate.proxy.upstream.gauges import register_gauges
from headgate.proxy.verdicts import Identity, Outcome, Settlement

from .pages import PAGES, Block, anchor, blocks, headings, links, name_of, prose, rows, text_of
from .tree import ROOT, all_imports, modules, tree_of

HOOKS = {name: member for name, member in vars(Hookspecs).items() if name.startswith("headgate_")}
HELLO = ROOT / "examples" / "headgate-plugin-hello"
# One word a thing (docs/vocabulary.md); the words that have no other meaning here.
OTHER_WORDS = ("failover", "backend", "frontend", "blacklist", "whitelist", "throttl")
PRAISE = ("blazing", "seamless", "world-class", "cutting-edge", "enterprise-grade", "best-in-class", "effortless")

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def signature(name: str) -> str:
    """A hook as its heading shows it."""
    found = inspect.signature(HOOKS[name])
    arguments = [f"{each.name}: {each.annotation}" for each in found.parameters.values() if each.name != "self"]
    return f"{name}({', '.join(arguments)}) -> {found.return_annotation}"


def schemas() -> Mapping[str, PluginSchema]:
    """Every installed plugin, and the example."""
    spec = importlib.util.spec_from_file_location("hello_of_the_docs", HELLO / "headgate_plugin_hello" / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    hello = PluginSchema("hello", module.Hello.Config, module.Hello.RouteOptions, frozenset(STAGES))
    return {**PluginTypes().schemas(), "hello": hello}


# -- hooks


def test_every_hook_is_documented_with_its_signature() -> None:
    shown = [heading.strip("`") for heading in headings(text_of("docs/hooks.md")) if "headgate_" in heading]
    assert shown == [signature(name) for name in HOOKS]


def test_the_table_of_hooks_says_what_each_may_answer_and_what_its_failure_means() -> None:
    table = {cells[1]: (cells[0], cells[2], cells[3]) for cells in rows(text_of("docs/hooks.md"), "stage")}
    assert set(table) == set(HOOKS)
    for stage, rule in STAGES.items():
        shown_stage, returns, failure = table[rule.hook]
        assert shown_stage == stage
        assert returns == (", ".join(kind.__name__ for kind in rule.returns) or "-")
        expected = f"{KINDS[rule.error_kind].status} {rule.error_kind}"
        assert (failure == expected) is rule.is_fail_closed


def test_every_hook_has_an_example_that_the_loader_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [block for block in blocks(text_of("docs/hooks.md")) if block.language == "python"]
    found = {block.heading.strip("`").partition("(")[0]: block for block in examples}
    assert set(found) == set(HOOKS)
    for hook, block in found.items():
        module = types.ModuleType(f"example_of_{hook}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(block.text, f"docs/hooks.md: {hook}", "exec", dont_inherit=True), module.__dict__)
        name = re.findall(r"^class (\w+)", block.text, re.MULTILINE)[0]
        kind = load_type("example", EntryPoint("example", f"{module.__name__}:{name}", "headgate.plugins"))
        assert hook in kind.hooks


def test_every_attribute_of_the_exchange_is_documented() -> None:
    text = text_of("docs/hooks.md")
    assert {cells[0] for cells in rows(text, "attribute")} == set(Exchange.__slots__)
    for kind in (Identity, Outcome, Settlement):
        listed = re.search(rf"`{kind.__name__}`\s+has\s+([^.]+)\.", text)
        assert listed is not None
        assert re.findall(r"`(\w+)`", listed[1]) == list(kind.__dataclass_fields__)


def test_the_stages_stand_in_their_order() -> None:
    titles = [heading for heading in headings(text_of("docs/request-path.md")) if heading in STAGES]
    assert titles == list(STAGES)


def test_the_tutorial_is_the_example() -> None:
    listings = {block.text for block in blocks(text_of("docs/writing-a-plugin.md"))}
    for file in ("pyproject.toml", "gateway.yaml", "headgate_plugin_hello/__init__.py"):
        assert (HELLO / file).read_text() in listings, f"docs/writing-a-plugin.md does not show {file} as it is"


# -- errors, states, names


def test_the_error_table_is_the_table() -> None:
    text = text_of("docs/errors.md")
    kinds = {**KINDS, **kinds_of_plugins()}
    table = [cells for cells in rows(text, "kind") if len(cells) == 6]
    assert table == [
        [kind.name, str(kind.status), kind.source, kind.error_type, "yes" if kind.is_closing else "no", kind.message]
        for kind in kinds.values()
    ]
    assert [cells[0] for cells in rows(text, "kind") if len(cells) == 2] == list(kinds)


def kinds_of_plugins() -> dict[str, Kind]:
    """What a client may be answered with by a module that makes a kind of its own, beside the core's table."""
    errors = "headgate.proxy.errors"
    found: dict[str, Kind] = {}
    importing = {each.module for shipped in modules() for each in all_imports(shipped) if each.target == errors}
    for name in sorted(importing):
        own = [each for each in vars(importlib.import_module(name)).values() if isinstance(each, Kind)]
        num_made = sum(map(is_making_a_kind, ast.walk(tree_of(modules()[name]))))
        assert len(own) == num_made, f"{name}: make kinds of errors as constants of the module, to be documented"
        found |= {kind.name: kind for kind in own}
    return found


def is_making_a_kind(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Kind"


def test_every_cause_is_documented() -> None:
    assert {cells[0]: cells[1] for cells in rows(text_of("docs/delivery-contract.md"), "error")} == CAUSES


def test_every_state_is_documented() -> None:
    assert [cells[0] for cells in rows(text_of("docs/request-path.md"), "state")] == [state.value for state in State]


def test_the_states_are_drawn_from_the_table() -> None:
    assert f"```\n{diagram()}\n```" in text_of("docs/delivery-contract.md")


def test_every_metric_of_the_core_is_documented() -> None:
    class Seen(Registry):
        def register(self, metric: AnyMetric) -> AnyMetric:
            metrics.append(metric)
            return super().register(metric)

    metrics: list[Metric] = []
    registry = Seen()
    Observer(registry, AccessLog("off"))
    register_gauges(registry, dict, float)
    registry.register(count_of_failures())
    registry.register(hook_seconds())
    assert rows(text_of("docs/operations.md"), "metric") == [
        [metric.name, metric.kind, ", ".join(metric.label_names) or "-", metric.help_text] for metric in metrics
    ]


def test_every_field_of_the_access_log_is_documented(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "access.log"))
    log.write(
        exchange(),
        Outcome(200, None, "", None, 0, False, None, 0, 0, 0.0, None, None, None, None, False, extra={"a": "b"}),
    )
    log.write_refused("127.0.0.1", "bad_request", 400, "")
    log.close()
    whole, refused = [list(orjson.loads(line)) for line in (tmp_path / "access.log").read_bytes().splitlines()]
    shown = [name for cells in rows(text_of("docs/operations.md"), "field") for name in cells[0].split(", ")]
    on_the_wire = shown.index("x-request-id")
    assert sorted(shown[: len(whole)]) == sorted(whole)
    assert sorted(shown[len(whole) : on_the_wire]) == sorted(refused)


class Nobody:
    """A client that does not wait for `100 Continue`."""

    def send_continue(self) -> None:
        """Nobody waits."""

    def skip_continue(self) -> None:
        """Nobody waited."""


def exchange() -> Exchange:
    body = ClientBody(None, None, Nobody(), 1.0)
    request = Request("GET", "/", "/", "", "a", "http", "127.0.0.1", "127.0.0.1", Fields(), body)
    return Exchange(request, "1", lambda: 0.0)


def test_the_names_on_the_wire_are_those_of_the_code() -> None:
    pattern = re.compile(r"x-headgate-[a-z]+(?:-[a-z]+)*", re.IGNORECASE)
    code = "".join(file.read_text() for folder in ("proxy", "plugins") for file in (ROOT / folder).rglob("*.py"))
    used = {name.lower() for name in pattern.findall(code)}
    table = {cells[0] for cells in rows(text_of("docs/operations.md"), "field") if cells[0].startswith("x-headgate-")}
    assert table == used
    for page in PAGES:
        assert {name.lower() for name in pattern.findall(page.read_text())} <= used, name_of(page)
    assert all(f"`{name}`" in text_of("docs/operations.md") for name in PRIORITIES)


# -- commands


def commands() -> list[tuple[str, list[str]]]:
    """Every command line of ours on a page, with the page."""
    pattern = re.compile(r"headgate(-inference)? [a-z]")
    found: set[tuple[str, str]] = set()
    for page in PAGES:
        for block in blocks(page.read_text()):
            lines = map(str.strip, block.text.split("\n")) if block.language in ("sh", "") else []
            found |= {(name_of(page), line) for line in lines if pattern.match(line)}
    return sorted((page, line.partition("#")[0].partition("<")[0].split()) for page, line in found)


def test_every_command_in_the_documents_exists() -> None:
    shown = commands()
    assert len({line[1] for _, line in shown}) > 5
    helps: dict[tuple[str, ...], str] = {}
    for page, line in shown:
        words = (line[0], *[word for word in line[1:3] if re.fullmatch("[a-z]+(?:-[a-z]+)*", word)])
        if words not in helps:
            module = "headgate.inference" if line[0] == "headgate-inference" else "headgate.proxy"
            asked = subprocess.run(
                [sys.executable, "-m", module, *words[1:], "--help"], capture_output=True, text=True, check=False
            )
            assert asked.returncode == 0, f"{page}: {' '.join(line)}: {asked.stderr}"
            helps[words] = asked.stdout
        for option in (word.partition("=")[0] for word in line if word.startswith("--")):
            assert option in helps[words], f"{page}: {' '.join(line)} has no option {option}"


def test_the_readme_lists_every_command() -> None:
    usage = subprocess.run(
        [sys.executable, "-m", "headgate.proxy", "--help"], capture_output=True, text=True, check=True
    ).stdout
    offered = re.findall(r"^    ([a-z-]+)(?:  |$)", usage, re.MULTILINE)
    listed = re.findall(r"headgate ([a-z-]+)", " ".join(cells[0] for cells in rows(text_of("README.md"), "command")))
    assert set(listed) == set(offered) and len(offered) >= 8


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for line in re.findall(r"^ *make ([a-z -]+)", page.read_text(), re.MULTILINE):
            assert set(line.split()) <= targets, f"{name_of(page)}: make {line}"


# -- links, configurations, words


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page.read_text()):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)} links to {link}"
        assert target.is_relative_to(ROOT)
        if fragment:
            assert fragment in map(anchor, headings(target.read_text())), f"{name_of(page)} links to {link}"


@every_page
def test_every_page_is_reachable_from_the_readme(page: Path) -> None:
    seen, left = set(), [ROOT / "README.md"]
    while left:
        here = left.pop()
        seen.add(here)
        paths = [link.partition("#")[0] for link in links(here.read_text()) if "://" not in link]
        near = {(here.parent / path).resolve() for path in paths}
        left += [found for found in near if found.suffix == ".md" and found not in seen]
    assert page in seen


@every_page
def test_every_configuration_is_valid(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = [block for block in blocks(page.read_text()) if block.language == "yaml"]
    for block in found:
        value = yaml.safe_load(block.text)
        assert isinstance(value, dict), f"{name_of(page)}: {block.heading}"
        if "listeners" in value:
            assert check(block.text, schemas(), secrets_of(block)).warnings == (), f"{name_of(page)}: {block.heading}"


def secrets_of(block: Block) -> dict[str, str]:
    """Give every variable that a configuration names a value."""
    return {name: "a-secret-of-enough-bytes-for-any-use" for name in re.findall(r"env:(\w+)", block.text)}


@every_page
def test_words_are_those_of_the_project(page: Path) -> None:
    text = page.read_text().lower()
    if page.name != "vocabulary.md":
        assert [word for word in OTHER_WORDS if word in prose(text)] == []
    assert [word for word in PRAISE if word in text] == []
    # Nobody has our folders, nor a list of issues that these pages may count on.
    assert re.findall(r"(?<![\w.$])/(?:tmp|work|root|home)\b[^ ]*", text) == []
    assert re.findall(r"\bissues? #?\d+|(?<![\w&/(])#\d+\b", prose(text)) == []
