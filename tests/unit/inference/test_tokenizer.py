"""Text to ids and back, whole and piece by piece; chat templates."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.inference.config import CheckpointError
from headgate.inference.sample_checkpoint import write_sample_checkpoint
from headgate.inference.tokenizer import TemplateError, Tokenizer, read_tokenizer

USER = {"role": "user", "content": "hi"}
SPECIAL = ("<|bos|>", "<|eos|>", "<|user|>", "<|assistant|>")
# Any text but the special tokens' own, which decoding leaves out.
TEXTS = st.text().filter(lambda text: not any(token in text for token in SPECIAL))


def _with_template(tokenizer: Tokenizer, template: str) -> Tokenizer:
    return Tokenizer(tokenizer.backend, template, {"bos_token": {"content": "<|bos|>"}})


@given(text=TEXTS)
def test_any_text_survives_the_round_trip(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=TEXTS)
def test_streamed_pieces_join_to_the_text(tokenizer: Tokenizer, text: str) -> None:
    stream = tokenizer.stream()
    pieces = [stream.push(token) for token in tokenizer.encode(text)]
    assert "".join(pieces) + stream.finish() == text


@given(ids=st.lists(st.integers(0, 259), max_size=40))
def test_streamed_pieces_join_to_the_decoded_ids_even_for_broken_bytes(tokenizer: Tokenizer, ids: list[int]) -> None:
    stream = tokenizer.stream()
    assert "".join([stream.push(token) for token in ids]) + stream.finish() == tokenizer.decode(ids)


def test_a_character_over_several_tokens_comes_out_once_complete(tokenizer: Tokenizer) -> None:
    stream = tokenizer.stream()
    pieces = [stream.push(token) for token in tokenizer.backend.encode("é👋x").ids]
    assert pieces == ["", "é", "", "", "", "👋", "x"]


def test_begin_token_is_added_once(tokenizer: Tokenizer) -> None:
    assert tokenizer.bos_id is not None
    ids = tokenizer.encode("a")
    assert ids[0] == tokenizer.bos_id
    assert tokenizer.encode("<|bos|>a") == ids


def test_chat_is_rendered_with_the_head_of_an_answer(tokenizer: Tokenizer) -> None:
    messages = [{"role": "system", "content": "be"}, USER, {"role": "assistant", "content": "yo"}, USER]
    assert tokenizer.render_chat(messages) == "<|bos|>be<|user|>hi<|assistant|>yo<|user|>hi<|assistant|>"
    assert tokenizer.encode_chat([USER])[:2] == [tokenizer.bos_id, tokenizer.backend.token_to_id("<|user|>")]


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[0].content + 1 }}", "failed on the messages"),
        ("{{ 1 // 0 }}", "failed on the messages"),
        ("{{ messages.nothing.at.all }}", "no attribute"),
        # Nothing of Python is reachable.
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{% for i in range(1000000000) %}{% endfor %}", "failed on the messages"),
    ],
)
def test_template_that_refuses_or_breaks_is_an_error_of_its_own(
    tokenizer: Tokenizer, template: str, problem: str
) -> None:
    with pytest.raises(TemplateError, match=problem):
        _with_template(tokenizer, template).render_chat([USER])


def test_template_has_what_published_ones_use(tokenizer: Tokenizer) -> None:
    template = "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m | tojson }}{% endfor %}"
    rendered = _with_template(tokenizer, template + "{{ bos_token }}{{ tools is none }}").render_chat([USER, USER])
    assert rendered == '{"role":"user","content":"hi"}<|bos|>True'


def test_template_tells_the_date_it_is_given(tokenizer: Tokenizer) -> None:
    dated = _with_template(tokenizer, "{{ strftime_now('%d %b %Y') }}")
    assert dated.render_chat([USER], datetime(2024, 2, 29)) == "29 Feb 2024"
    assert dated.encode_chat([USER], datetime(2024, 2, 29)) == tokenizer.backend.encode("29 Feb 2024").ids
    assert dated.render_chat([USER]) != "29 Feb 2024"


def test_model_without_template_says_so(tokenizer: Tokenizer) -> None:
    with pytest.raises(TemplateError, match="no chat template"):
        Tokenizer(tokenizer.backend, None, {}).encode_chat([USER])


@pytest.mark.parametrize(
    "settings",
    [
        '{"chat_template": "T"}',
        '{"chat_template": [{"name": "x", "template": "X"}, {"name": "default", "template": "T"}]}',
    ],
)
def test_template_of_tokenizer_config_is_used(tmp_path: Path, settings: str) -> None:
    write_sample_checkpoint(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    (tmp_path / "tokenizer_config.json").write_text(settings)
    assert read_tokenizer(tmp_path).render_chat([USER]) == "T"


def test_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: no such file"):
        read_tokenizer(tmp_path)
    write_sample_checkpoint(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{% if %}")
    with pytest.raises(CheckpointError, match=r"chat_template\.jinja: chat template: "):
        read_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not a tokenizer"):
        read_tokenizer(tmp_path)
