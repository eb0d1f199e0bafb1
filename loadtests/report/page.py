"""The page: for each scenario its verdict, what was used up first, and the plots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .svg import Axes, against, bars, lines

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1240px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 }
td, th { padding: .2em .8em; border-bottom: 1px solid #ddd; text-align: left }
svg text { font: 10px system-ui, sans-serif; fill: #444 }
svg text.title { font-size: 12px; font-weight: 600; fill: #222 }
.passed { color: #1c7a34 }
.missed, .no { color: #b32412; font-weight: 600 }
.invalid { color: #8a5a00; font-weight: 600 }
section { margin-top: 3em } p.title { margin-top: -.7em; color: #555 }
"""
_OVER_TIME_S = "s"


def page(document: Mapping[str, Any]) -> str:
    """Return the whole page."""
    parts = [_summary(document), *(_section(one) for one in document["scenarios"])]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Load tests</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>Load tests of headgate</h1>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _summary(document: Mapping[str, Any]) -> str:
    machine = document["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    load = document["load_average"]
    made = (
        f"{document['date']}: {machine['cpu']}, {machine['cores']} cores, {machine['system']}, kernel "
        f"{machine['kernel']}; {versions}. Load average of the machine {load['before'][0]:.1f} before and "
        f"{load['after'][0]:.1f} after. Exit code {document['exit_code']}."
    )
    rows = [_summary_row(one) for one in document["scenarios"]]
    head = "<tr><th>scenario</th><th>what happens</th><th>verdict</th><th>used up first</th></tr>"
    return f"<p>{escape(made)}</p>\n<table>{head}{''.join(rows)}</table>"


def _summary_row(one: Mapping[str, Any]) -> str:
    link = f'<a href="#{one["name"]}">{one["name"]}</a>'
    verdict = f'<td class="{one["verdict"]}">{one["verdict"]}</td>'
    return f"<tr><td>{link}</td><td>{escape(one['title'])}</td>{verdict}<td>{_first(one)}</td></tr>"


def _first(one: Mapping[str, Any]) -> str:
    return escape(one["saturation"]["first"] or "nothing")


def _section(one: Mapping[str, Any]) -> str:
    sound = one["soundness"]
    told = (
        f"{one['requests']} requests in {one['seconds']:g} s. The generator used at most "
        f"{sound['generator_share']:.0%} of a core over 5 s, other programs {sound['others_share']:.0%} of the "
        f"machine; 99 % of the requests were sent at most {sound['late_ms']:.0f} ms late."
    )
    rows = [_verdict_row(verdict) for verdict in one["verdicts"]]
    invalid = "".join(f'<p class="invalid">Invalid: {escape(reason)}.</p>' for reason in one["invalid"])
    evidence = " ".join(map(escape, one["saturation"]["sentences"]))
    return (
        f'<section id="{one["name"]}"><h2>{one["name"]}: <span class="{one["verdict"]}">{one["verdict"]}</span></h2>'
        f'<p class="title">{escape(one["title"])}</p>{invalid}<p>{escape(told)}</p>'
        f"<table><tr><th>figure</th><th>wanted</th><th>seen</th><th>met</th></tr>{''.join(rows)}</table>"
        f"<p><b>Used up first.</b> {evidence}</p>{''.join(plots(one))}</section>"
    )


def _verdict_row(verdict: Mapping[str, Any]) -> str:
    cells = "".join(f"<td>{escape(verdict[name])}</td>" for name in ("meaning", "wanted", "seen"))
    style, word = ("passed", "yes") if verdict["is_met"] else ("no", "no")
    return f'<tr>{cells}<td class="{style}">{word}</td></tr>'


def plots(one: Mapping[str, Any]) -> list[str]:
    """Return the plots of one scenario."""
    marks = [(at, text) for at, text in one["marks"]]
    series = {name: _points(values) for name, values in one["over_time"].items()}
    rates = {"offered": series["offered"], "answered": series["answered"]}
    times = {"p50": series["p50_ms"], "p99": series["p99_ms"]}
    used = {name: _points(values) for name, values in one["in_use"].items()}
    own = {name: _points(values) for name, values in one["gateway"].items() if "breaker" not in name}
    breakers = {
        name.partition(" (")[0]: _points(values) for name, values in one["gateway"].items() if "breaker" in name
    }
    shares = {key: answered / asked for key, (asked, answered) in one["keys"].items() if asked}
    found = [
        lines(Axes("Requests: offered, and answered whole and right", _OVER_TIME_S, "a second"), rates, marks),
        lines(Axes("Time to whole right answers", _OVER_TIME_S, "ms"), times, marks),
        lines(Axes("Share of the answers given by lite", _OVER_TIME_S, "share", 1.0), {"lite": series["lite"]}, marks),
        lines(Axes("Share refused by 429, and failed", _OVER_TIME_S, "share", 1.0), _both(series), marks),
        lines(Axes("In use of each resource", _OVER_TIME_S, "share", 1.0), used, marks),
        lines(Axes("The gateway's own gauges", _OVER_TIME_S, "number"), own, marks),
        lines(Axes("Breakers: 0 closed, 1 open, 2 half open, 3 ramping", _OVER_TIME_S, "state", 3.0), breakers, marks),
        bars(
            Axes(
                f"Share of its requests that each key was answered (Jain's index {one['jain']:g})", "key", "share", 1.0
            ),
            shares,
        ),
    ]
    return [*_knee(one), *found]


def _both(series: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, Sequence[tuple[float, float]]]:
    return {"429": series["limited"], "failed": series["failed"]}


def _knee(one: Mapping[str, Any]) -> list[str]:
    levels = one["levels"]
    if not levels:
        return []
    curve = [(level["answered"] or 0.0, level["p50_ms"] or 0.0) for level in levels]
    offered = [(level["offered"] or 0.0, level["answered"] or 0.0) for level in levels]
    return [
        against(Axes("Latency against throughput, step by step", "answers a second", "p50 ms"), curve, one["knee"]),
        against(Axes("Throughput against load, step by step", "offered a second", "answered"), offered, one["knee"]),
    ]


def _points(values: Sequence[Sequence[float | None]]) -> list[tuple[float, float]]:
    return [(at or 0.0, math.nan if value is None else value) for at, value in values]
