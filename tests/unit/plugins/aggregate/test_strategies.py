"""Each strategy: which answer the client gets, and when."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .branches import JSON, Fate, tell

SLOW = Fate(5.0)
SAYS_A, SAYS_B = (
    Fate(1.0, body=json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}).encode())
    for text in "AB"
)


def completion(*texts: str, **more: Any) -> bytes:
    choices = [{"index": at, "message": {"role": "assistant", "content": text}} for at, text in enumerate(texts)]
    return json.dumps({"id": "1", "choices": choices, **more}).encode()


def test_first_is_answered_with_the_head_and_says_what_became_of_the_others() -> None:
    told = tell([SLOW, Fate(1.0, body_s=2.0, body=b"won"), Fate(0.5, status=503)])
    assert (told.response.status, told.body, told.ended_at) == (200, b"won", 3.0)
    assert told.outcomes == ["skipped", "ok", "error"]
    assert "cache-control" not in told.response.fields  # who gave it says whether it may be stored
    assert told.field == (
        '"a";outcome=skipped;reason=not_needed;ms=1000, "b";outcome=ok;status=200;ms=1000, '
        '"c";outcome=error;status=503;ms=500'
    )


def test_all_waits_for_every_branch_where_none_is_required() -> None:
    told = tell([Fate(1.0), Fate(3.0, status=500), Fate(2.0, fails="reset")], strategy="all")
    assert told.ended_at == 3.0
    assert told.outcomes == ["ok", "error", "error"]
    assert told.json()["is_partial"] is True
    assert told.response.fields["cache-control"] == "no-store"
    assert [branch["body"] for branch in told.json()["branches"]] == [{"ok": True}, {"ok": True}, None]


def test_nobody_waits_for_a_branch_that_is_not_required_once_those_are_there_that_are() -> None:
    told = tell([Fate(2.0), SLOW, Fate(1.0)], strategy="all", branches={"a": {"required": True}})
    assert told.ended_at == 2.0
    assert told.outcomes == ["ok", "skipped", "ok"]
    assert told.json()["is_partial"] is True


def test_a_required_branch_that_fails_is_an_error_at_once() -> None:
    required = {"b": {"required": True}}
    for strategy in ("all", "quorum", "best_of", "merge"):
        for fate, kind in (
            (Fate(1.0, fails="connect_failed"), "connect_failed"),
            (Fate(1.0, status=404), "unhealthy_status"),
            (Fate(0.5, body_s=0.5, cut="truncated"), "truncated"),
        ):
            told = tell([Fate(0.1), fate, SLOW], strategy=strategy, branches=required)
            assert (told.error, told.ended_at) == (kind, 1.0)
            assert told.outcomes == ["ok", "error", "skipped"]


def test_a_required_branch_that_is_late_is_a_504_in_its_own_time() -> None:
    told = tell([Fate(0.1), SLOW], strategy="all", branches={"b": {"required": True, "timeout": "700ms"}})
    assert (told.error, told.ended_at, told.outcomes) == ("silent", 0.7, ["ok", "timeout"])


def test_a_branch_has_no_more_than_its_own_time() -> None:
    slow_body = Fate(0.5, body=None)
    told = tell([Fate(0.1), slow_body, SLOW], strategy="all", branches={"b": {"timeout": "1s"}, "c": {"timeout": "2s"}})
    assert (told.ended_at, told.outcomes) == (2.0, ["ok", "timeout", "timeout"])
    assert [body.is_closed for body in told.bodies] == [True, True]


def test_the_deadline_ends_it_with_what_there_is() -> None:
    told = tell([Fate(1.0), SLOW], strategy="all", deadline_s=2.0, margin_ms=100)
    assert (told.response.status, told.ended_at, told.outcomes) == (200, 1.9, ["ok", "timeout"])


def test_a_quorum_needs_no_more_than_its_votes() -> None:
    told = tell([Fate(2.0), SLOW, Fate(1.0)], strategy="quorum", votes=2)
    assert (told.ended_at, told.outcomes) == (2.0, ["ok", "skipped", "ok"])
    assert [branch["outcome"] for branch in told.json()["branches"]] == ["ok", "skipped", "ok"]


def test_a_quorum_is_more_than_half_of_the_votes_of_those_that_are_asked() -> None:
    told = tell(
        [Fate(1.0), Fate(2.0), Fate(3.0), Fate(4.0)],
        strategy="quorum",
        branches={"a": {"weight": 3}, "d": {"skip_when": {"fields": {"x-a": "*"}}}},
    )
    assert told.ended_at == 2.0  # 4 of 6
    fewer = [Fate(1.0), Fate(2.0), Fate(3.0)]
    assert tell(fewer, strategy="quorum").ended_at == 2.0
    assert tell(
        fewer, ("x-a", "1"), strategy="quorum", branches={"b": {"skip_when": {"fields": {"x-a": "1"}}}}
    ).outcomes == [
        "ok",
        "skipped",
        "ok",
    ]


def test_a_quorum_ends_as_soon_as_it_cannot_be_had() -> None:
    told = tell([Fate(1.0, fails="reset"), Fate(0.5, status=500), SLOW, Fate(0.1)], strategy="quorum", votes=3)
    assert (told.error, told.ended_at, told.outcomes) == ("no_agreement", 1.0, ["error", "error", "skipped", "ok"])


def test_a_quorum_that_was_only_too_slow_is_a_504() -> None:
    told = tell([Fate(0.1), SLOW, SLOW], strategy="quorum", votes=2, deadline_s=1.0)
    assert (told.error, told.outcomes) == ("silent", ["ok", "timeout", "timeout"])


@pytest.mark.parametrize("agree_on", ["body", "content"])
def test_the_answer_of_a_quorum_is_what_enough_of_them_say(agree_on: str) -> None:
    told = tell([SAYS_B, SAYS_A, SLOW, SAYS_A], strategy="quorum", votes=2, agree_on=agree_on)
    assert (told.body, told.ended_at) == (SAYS_A.body, 1.0)
    assert told.response.fields["x-headgate-target"] == "b"
    never = tell([SAYS_B, SAYS_A, Fate(1.5)], strategy="quorum", votes=2, agree_on=agree_on)
    assert (never.error, never.ended_at) == ("no_agreement", 1.5)


def test_content_is_compared_without_what_differs_from_call_to_call() -> None:
    one = Fate(body=completion("yes", id="1", created=5))
    other = Fate(body=completion(" yes\n", id="2", created=6))
    assert tell([one, other], strategy="quorum", votes=2, agree_on="content").body == one.body
    assert tell([one, other], strategy="quorum", votes=2, agree_on="body").error == "no_agreement"
    mapping, same = Fate(body=b'{"a": 1, "b": [2]}'), Fate(body=b'{"b":[2],"a":1}')
    assert tell([mapping, same], strategy="quorum", votes=2, agree_on="content").body == mapping.body


@pytest.mark.parametrize(("scorer", "text"), [("shortest", "no"), ("longest", "a long one"), ("most_agreed", "often")])
def test_the_best_is_what_the_scorer_likes(scorer: str, text: str) -> None:
    texts = ["a long one", "often", "no", "often"]
    fates = [Fate(at / 10, body=completion(each)) for at, each in enumerate(texts)]
    told = tell(fates, strategy="best_of", scorer=scorer)
    assert told.body == completion(text)
    assert told.ended_at == 0.3


def test_among_equals_the_one_with_more_votes_is_best_and_then_the_first() -> None:
    fates = [Fate(0.3, body=completion("x")), Fate(0.2, body=completion("y")), Fate(0.1, body=completion("z"))]
    assert tell(fates, strategy="best_of", scorer="shortest").body == fates[0].body
    weighed = tell(fates, strategy="best_of", scorer="shortest", branches={"c": {"weight": 2}})
    assert weighed.body == fates[2].body


def test_objects_are_merged_and_the_first_one_counts() -> None:
    one = Fate(0.2, body=b'{"a": 1, "in": {"x": 1}, "big": 123456789012345678901234567890}')
    other = Fate(0.1, body=b'{"a": 2, "in": {"y": [2]}, "b": null}')
    value = tell([one, other], strategy="merge").json()
    told = value.pop("headgate")
    assert value == {"a": 1, "in": {"x": 1, "y": [2]}, "big": 123456789012345678901234567890, "b": None}
    assert told["is_partial"] is False and [branch["outcome"] for branch in told["branches"]] == ["ok", "ok"]


def test_completions_are_merged_into_one_with_all_choices() -> None:
    usages = [{"prompt_tokens": 3, "completion_tokens": number, "details": {"n": 1}} for number in (1, 2)]
    fates = [
        Fate(body=completion("a", "b", id="1", usage=usages[0])),
        Fate(body=completion("c", id="2", usage=usages[1])),
    ]
    value = tell(fates, strategy="merge").json()
    assert value["id"] == "1"
    assert [(choice["index"], choice["message"]["content"]) for choice in value["choices"]] == [
        (0, "a"),
        (1, "b"),
        (2, "c"),
    ]
    assert value["usage"] == {"prompt_tokens": 6, "completion_tokens": 3, "details": {"n": 2}}


def test_what_cannot_be_merged_is_an_error() -> None:
    for body in (b"[1]", b"text", b'{"a": 1e999}', b'{"a": NaN}'):
        assert tell([Fate(), Fate(body=body)], strategy="merge").error == "malformed_answer"


@pytest.mark.parametrize("strategy", ["first", "best_of", "merge", "quorum"])
def test_where_nothing_is_good_the_least_bad_answer_is_given(strategy: str) -> None:
    told = tell([Fate(0.2, status=500), Fate(0.1, status=404, body=b"no"), Fate(0.2, fails="reset")], strategy=strategy)
    assert (told.response.status, told.body) == (404, b"no")
    lost = tell([Fate(fails="reset"), Fate(fails="connect_failed")], strategy=strategy)
    assert (lost.error, lost.outcomes) == ("connect_failed", ["error", "error"])


def test_a_branch_may_be_left_out_by_fields_and_model() -> None:
    branches = {
        "a": {"only_when": {"models": ["big-*"]}},
        "b": {"skip_when": {"fields": {"X-Cheap": "*"}, "models": ["small"]}},
        "c/m": {"name": "third"},
    }
    fates = {"a": Fate(), "b": Fate(), "c/m": Fate()}
    told = tell(fates, ("x-cheap", "1"), strategy="all", model="small", branches=branches)
    assert told.field.startswith(
        '"a";outcome=skipped;reason=condition, "b";outcome=skipped;reason=condition, "third";outcome=ok'
    )
    assert [target for target, _ in told.asked] == ["c/m"]
    assert told.json()["is_partial"] is False
    assert "cache-control" not in told.response.fields
    asked = tell(fates, ("x-cheap", "1"), strategy="all", model="big-1", branches=branches).asked
    assert [target for target, _ in asked] == ["a", "b", "c/m"]
    nobody = tell([Fate()], strategy="all", branches={"a": {"only_when": {"models": ["x"]}}})
    assert nobody.error == "route_not_found"


def test_the_number_of_branches_is_bounded() -> None:
    told = tell({f"t{number}": Fate() for number in range(70)}, strategy="all")
    assert len(told.asked) == 63
    assert told.field.count("reason=too_many") == 7


def test_what_is_kept_of_answers_is_bounded_each_and_together() -> None:
    fates = [Fate(at, body=b"x" * 600, media_type="text/plain") for at in (1.0, 2.0, 3.0)]
    each = tell(fates, strategy="all", max_branch_bytes=599)
    assert each.field.count("error=answer_too_large") == 3 and each.response.status == 502
    together = tell(fates, strategy="all", max_total_bytes=1200)
    assert together.outcomes == ["ok", "ok", "error"]
    assert all(body.is_closed for body in together.bodies)


def test_a_client_that_leaves_ends_every_branch() -> None:
    for strategy in ("first", "all", "quorum", "best_of", "merge"):
        told = tell([SLOW, Fate(0.1, body=None), SLOW], strategy=strategy, leave_s=1.0)
        assert (told.num_tasks, told.ended_at) == (0, 1.0)
        assert all(body.is_closed for body in told.bodies)
        wanted = "ok" if strategy == "first" else "abandoned"
        assert wanted in told.extra["branches"]


def test_a_body_in_gzip_is_read_and_told_as_what_it_is() -> None:
    import gzip

    coded = (b"Content-Encoding", b"gzip"), (b"ETag", b'"1"')
    fate = Fate(body=gzip.compress(completion("yes")), fields=coded)
    told = tell([fate, Fate(body=completion("yes"))], strategy="quorum", votes=2, agree_on="content")
    assert told.body == completion("yes")
    assert "content-encoding" not in told.response.fields and "etag" not in told.response.fields
    bomb = Fate(body=gzip.compress(b"0" * 10_000), fields=coded, media_type=JSON)
    assert "error=answer_too_large" in tell([bomb], strategy="all", max_branch_bytes=5_000).field
    broken = Fate(body=gzip.compress(b"0" * 100)[:-9], fields=coded)
    assert "error=malformed_answer" in tell([broken], strategy="all").field


def test_the_log_has_what_each_branch_cost() -> None:
    told = tell([Fate(usage=(5, 7)), Fate(status=500, usage=(5, 0))], strategy="all")
    assert told.extra["branches"] == (
        '"a";outcome=ok;status=200;ms=0;prompt=5;completion=7, "b";outcome=error;status=500;ms=0;prompt=5;completion=0'
    )
    assert told.json()["branches"][0]["usage"] == {"prompt_tokens": 5, "completion_tokens": 7}
    assert "prompt" not in told.field


def test_the_log_has_what_a_winner_cost_once_it_was_read() -> None:
    told = tell([Fate(body_s=1.0, usage=(5, 7)), SLOW])
    assert '"a";outcome=ok;status=200;ms=0;prompt=5;completion=7' in told.extra["branches"]


def test_a_name_that_is_no_text_of_a_field_is_made_one() -> None:
    told = tell({'odd/"m\\\u00e9': Fate()}, strategy="all")
    assert told.field.startswith('"odd/\\"m\\\\?";outcome=ok')
