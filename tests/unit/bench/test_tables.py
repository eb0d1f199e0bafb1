"""The tables hold what was measured, each figure under its head."""

from __future__ import annotations

from bench.figures import Sample
from bench.tables import as_markdown, as_text, work_table, workers_table


def sample(cpu_us: float, p99_ms: float = 2.0, **more: float) -> Sample:
    return Sample(units=100, cpu_us=cpu_us, per_s=50.0, p50_ms=1.0, p99_ms=p99_ms, rss_kib=2048, more=more)


def column(table: list[list[str]], head: str) -> dict[str, str]:
    at = table[0].index(head)
    return {row[0]: row[at] for row in table[1:]}


def lists(table: object) -> list[list[str]]:
    assert isinstance(table, list)
    return [list(row) for row in table]


def test_a_proxy_has_its_ratios_to_both_peers() -> None:
    samples = {
        "nginx": [sample(10), sample(20), sample(40)],
        "envoy": [sample(20), sample(40), sample(80)],
        "bare": [sample(30), sample(40), sample(200)],
    }
    table = lists(work_table("requests", "request", samples))
    assert column(table, "CPU µs/request")["bare"] == "40 (30 to 200)"
    assert column(table, "times nginx")["bare"] == "3.00 (2.00 to 5.00)"
    assert column(table, "times envoy")["bare"] == "1.50 (1.00 to 2.50)"
    assert column(table, "requests/s")["bare"] == "50" and column(table, "RSS MiB")["bare"] == "2"


def test_a_column_without_any_figure_is_left_out() -> None:
    table = lists(work_table("cache", "request", {"nginx": [sample(10)], "cached": [sample(20)]}))
    assert "times nginx" in table[0] and "times envoy" not in table[0]


def test_streams_tell_of_their_gaps() -> None:
    samples = {
        "direct": [sample(5, largest_gap_ms=21, num_gapped=0)],
        "nginx": [sample(10, largest_gap_ms=30, num_gapped=0), sample(10, largest_gap_ms=140, num_gapped=7)],
    }
    table = lists(work_table("stream", "event", samples))
    assert column(table, "largest gap ms") == {"direct": "21 (21 to 21)", "nginx": "85 (30 to 140)"}
    assert column(table, "streams with a gap above 100 ms") == {"direct": "0", "nginx": "7"}
    assert column(table, "times nginx") == {"direct": "", "nginx": "1.00 (1.00 to 1.00)"}


def test_what_is_added_is_the_difference_to_no_proxy() -> None:
    table = lists(work_table("single", "request", {"direct": [sample(5, 0.2)], "bare": [sample(10, 1.0)]}))
    assert column(table, "added p99 ms") == {"direct": "", "bare": "0.800 (0.800 to 0.800)"}


def test_memory_is_told_before_at_its_most_and_after() -> None:
    one = sample(10, before_kib=1024, after_kib=3072)
    table = lists(work_table("burst", "request", {"nginx": [one]}))
    assert table[1][-3:] == ["1", "2", "3"]
    idle = sample(10, before_kib=1024, kib_per_connection=4.56)
    table = lists(work_table("idle", "connection", {"nginx": [idle]}))
    assert table[1][1:] == ["4.6 (4.6 to 4.6)", "1", "2"]


def test_two_workers_stand_beside_one() -> None:
    samples = {"one": [sample(100), sample(100)], "two": [sample(110, least_share=0.4), sample(120, least_share=0.5)]}
    head, row = lists(workers_table("one", "two", {"post": ("POST", samples)}))
    assert len(head) == 3 and row == ["POST", "1.15 (1.10 to 1.20)", "45 (40 to 50) %"]
    assert lists(workers_table("one", "two", {"post": ("POST", {"one": samples["one"]})})) == []


def test_both_forms_hold_the_same_cells() -> None:
    table = [["", "a"], ["nginx", "10"], ["b", "2"]]
    assert as_text(table).splitlines() == ["        a", "nginx  10", "b       2"]
    assert as_markdown(table) == ["|  | a |", "|---|---|", "| nginx | 10 |", "| b | 2 |"]
