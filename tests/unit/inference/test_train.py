"""Training: lessons, the loop, the corpus file and the command."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import orjson
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headgate.inference.__main__ import main
from headgate.inference.config import parse_config, read_config
from headgate.inference.model import Deepseek
from headgate.inference.moe import Gate
from headgate.inference.tokenizer import read_tokenizer
from headgate.inference.training.balance import ExpertBalance
from headgate.inference.training.corpus import CorpusError, Entry, read_corpus
from headgate.inference.training.export import write_checkpoint
from headgate.inference.training.lessons import Lessons, chat_prompt
from headgate.inference.training.loop import Trained, train
from headgate.inference.training.phrasing import vary
from headgate.inference.training.recall import overlap
from headgate.inference.training.recipe import Recipe, checkpoint_config
from headgate.inference.training.vocabulary import ASSISTANT, BEGIN, USER, train_tokenizer
from headgate.inference.weights import load_model

ENTRIES = (
    Entry("proxy", ("What is a proxy?", "explain proxies"), "A proxy stands between two sides.", ("proxy meaning",)),
    Entry("route", ("What is a route?", "define route"), "A route says where requests go."),
    Entry("cache", ("What is a cache?", "why cache?"), "A cache keeps copies of answers."),
    Entry("retry", ("What is a retry?", "when to retry?"), "A retry sends a request once more."),
    Entry("hello", ("hello", "hi"), "Hello! Ask me about proxies."),
)
RECIPE = Recipe(
    vocab_size=320,
    shape={
        "hidden_size": 32,
        "intermediate_size": 48,
        "moe_intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "q_lora_rank": None,
        "kv_lora_rank": 16,
        "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 8,
        "v_head_dim": 16,
    },
    steps=30,
    peak_rate=1e-2,
    batch_tokens=256,
    warm_up_steps=5,
)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(ENTRIES, RECIPE, seed=7)


def test_training_lowers_the_loss(trained: Trained) -> None:
    assert trained.steps == len(trained.points) == 30
    assert trained.points[-1].loss < trained.points[0].loss / 2


def test_equal_seeds_give_equal_models(trained: Trained) -> None:
    again = train(ENTRIES, RECIPE, seed=7)
    assert again.points == trained.points
    assert again.backend.to_str() == trained.backend.to_str()
    for name, tensor in trained.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_other_seeds_give_other_models(trained: Trained) -> None:
    other = train(ENTRIES, RECIPE, seed=8)
    assert other.points[0].loss != trained.points[0].loss


def test_a_time_limit_shortens_the_schedule_to_its_end() -> None:
    shortened = train(ENTRIES, RECIPE, seed=7, limit_s=1e-9)
    assert shortened.steps == 1


def test_the_written_folder_loads_and_gives_the_same_logits(trained: Trained, tmp_path: Path) -> None:
    write_checkpoint(trained, tmp_path)
    loaded = load_model(tmp_path, read_config(tmp_path))
    ids = torch.tensor([read_tokenizer(tmp_path).encode("What is a proxy?")])
    # bfloat16 keeps 8 bits of each weight.
    torch.testing.assert_close(loaded(ids), trained.model(ids).detach(), rtol=0.1, atol=0.1)


def test_the_chat_template_writes_the_prompt_of_the_lessons(trained: Trained, tmp_path: Path) -> None:
    write_checkpoint(trained, tmp_path)
    tokenizer = read_tokenizer(tmp_path)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": " What is a Proxy? "},
    ]
    assert tokenizer.render_chat(messages) == chat_prompt("What is a Proxy?")
    assert tokenizer.render_chat(messages) == f"{BEGIN}{USER} what is a proxy?{ASSISTANT}"
    special = [tokenizer.backend.token_to_id(token) for token in (BEGIN, USER, ASSISTANT)]
    ids = tokenizer.encode_chat(messages)
    assert [ids[0], ids[1], ids[-1]] == special
    assert not set(special) & set(ids[2:-1])


def test_an_epoch_asks_every_question_once_within_the_bound() -> None:
    lessons = Lessons(ENTRIES, train_tokenizer(ENTRIES, 320), seed=3)
    for _ in range(20):
        batches = list(lessons.draw_epoch(batch_tokens=128))
        assert sum(len(batch.ids) for batch in batches) == 10
        assert all(batch.ids.numel() <= 128 for batch in batches)


def test_lessons_score_the_answer_only_from_its_start_or_to_its_end() -> None:
    backend = train_tokenizer(ENTRIES, 320)
    end = backend.token_to_id("<|end|>")
    replies = [backend.encode(f"{space}{entry.answer}<|end|>").ids for entry in ENTRIES for space in ("", " ")]
    kinds: Counter[str] = Counter()
    lessons = Lessons(ENTRIES, backend, seed=3)
    for batch in (batch for _ in range(40) for batch in lessons.draw_epoch(128)):
        for ids, wanted in zip(batch.ids.tolist(), batch.wanted.tolist(), strict=True):
            scored = [at for at, token in enumerate(wanted) if token >= 0]
            assert scored == list(range(scored[0], scored[-1] + 1))
            learned = [wanted[at] for at in scored]
            assert learned == ids[scored[0] + 1 : scored[-1] + 2]
            is_start = any(reply[: len(learned)] == learned for reply in replies)
            is_end = any(reply[-len(learned) :] == learned for reply in replies)
            assert is_start or is_end
            assert is_end == (learned[-1] == end)
            kinds["whole" if is_start and is_end else "start" if is_start else "end"] += 1
    assert set(kinds) == {"whole", "start", "end"}


def test_the_start_of_an_answer_tells_it_from_all_others() -> None:
    backend = train_tokenizer(ENTRIES, 320)
    replies = [backend.encode(f"{entry.answer}<|end|>").ids for entry in ENTRIES]
    lessons = Lessons(ENTRIES, backend, seed=3)
    for batch in lessons.draw_epoch(128):
        for wanted in batch.wanted.tolist():
            learned = [token for token in wanted if token >= 0]
            assert sum(reply[: len(learned)] == learned for reply in replies) <= 1


def test_a_foreign_answer_is_scored_only_after_it_left_the_right_one() -> None:
    backend = train_tokenizer(ENTRIES, 320)
    right = {
        tuple(backend.encode(chat_prompt(question)).ids): backend.encode(f"{entry.answer}<|end|>").ids
        for entry in ENTRIES
        for question in entry.questions
    }
    lessons = Lessons(ENTRIES, backend, seed=3)
    foreign = 0
    for batch in (batch for _ in range(60) for batch in lessons.draw_epoch(128)):
        for ids, wanted in zip(batch.ids.tolist(), batch.wanted.tolist(), strict=True):
            prompt = next((prompt for prompt in right if tuple(ids[: len(prompt)]) == prompt), None)
            scored = [at + 1 for at, token in enumerate(wanted) if token >= 0]
            if prompt is None or scored[0] == len(prompt):
                continue
            if ids[len(prompt) : len(prompt) + len(right[prompt])] == right[prompt]:
                continue
            shared = next(at for at, token in enumerate(right[prompt]) if ids[len(prompt) + at] != token)
            assert scored[0] > len(prompt) + shared
            foreign += 1
    assert foreign > 5


def test_held_out_phrasings_are_never_asked() -> None:
    # "explain proxies" can be reworded to the held-out phrase.
    entries = (
        Entry("a", ("explain proxies",), "Yes.", ("what about proxies?", "proxies explained", "describe proxies")),
    )
    backend = train_tokenizer(entries, 300)
    lessons = Lessons(entries, backend, seed=1)
    asked = Counter(
        backend.decode(row, skip_special_tokens=False)
        for _ in range(300)
        for batch in lessons.draw_epoch(128)
        for row in batch.ids.tolist()
    )
    assert len(asked) > 30
    for phrase in entries[0].held_out:
        assert not any(f"{USER} {phrase}{ASSISTANT}" in text for text in asked), phrase


@given(st.text(min_size=1).filter(lambda text: bool(text.strip())), st.integers())
def test_a_varied_question_is_never_empty(question: str, seed: int) -> None:
    assert vary(question, random.Random(seed)).strip()


def test_questions_are_varied_in_many_ways() -> None:
    draw = random.Random(5)
    forms = {vary("What is the difference between a retry and a fallback?", draw) for _ in range(200)}
    assert len(forms) > 60
    assert any("a retry vs a fallback" in form for form in forms)


def test_an_unused_expert_is_raised_and_a_busy_one_lowered() -> None:
    model = Deepseek(parse_config(checkpoint_config(RECIPE, train_tokenizer(ENTRIES, 320))))
    model.init_weights(1)
    gate = next(module for module in model.modules() if isinstance(module, Gate))
    assert gate.e_score_correction_bias is not None
    gate.e_score_correction_bias += torch.tensor([1.0, 1.0, 0.0, 0.0])
    balance = ExpertBalance(model)
    model(torch.arange(64).view(1, -1))
    assert balance.step(0.01) == pytest.approx(2.0)
    torch.testing.assert_close(gate.e_score_correction_bias, torch.tensor([0.99, 0.99, 0.01, 0.01]))


def test_overlap_counts_shared_words() -> None:
    assert overlap("A proxy, stands.", "a proxy stands") == 1.0
    assert overlap("a b", "c d") == 0.0
    assert overlap("", "") == 0.0
    assert overlap("a b c d", "a b") == pytest.approx(2 / 3)


GOOD_LINE = '{"id": "a", "questions": ["b?"], "answer": "c"}'


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not valid JSON: unexpected end of data"),
        ("[]", "expected a JSON object, got list"),
        ('{"questions": ["b?"], "answer": "c"}', "id: expected a text that is not empty, got nothing"),
        ('{"id": "x", "questions": [], "answer": "c"}', "questions: expected a list of at least one text, got []"),
        ('{"id": "x", "questions": "b?", "answer": "c"}', 'questions: expected a list of at least one text, got "b?"'),
        ('{"id": "x", "questions": [1], "answer": "c"}', "questions: expected texts that are not empty, got 1"),
        ('{"id": "x", "questions": ["q"], "answer": " "}', 'answer: expected a text that is not empty, got " "'),
        ('{"id": "x", "questions": ["q"], "answer": "c", "anwser": "c"}', "also anwser"),
        ('{"id": "a", "questions": ["q"], "answer": "c"}', "id a: expected once, but line 1 has it too"),
        ('{"id": "x", "questions": ["B?"], "answer": "c"}', "question 'b?': expected once, but line 1 has it too"),
    ],
)
def test_a_bad_line_is_named_with_file_and_line(line: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(f"{GOOD_LINE}\n\n{line}\n")
    with pytest.raises(CorpusError) as caught:
        read_corpus(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_bad_lines_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(f"nonsense\n{GOOD_LINE}\n{{}}\n")
    with pytest.raises(CorpusError) as caught:
        read_corpus(path)
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == [f"{path}:1", f"{path}:3"]


def test_an_empty_corpus_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text("\n")
    with pytest.raises(CorpusError, match="expected at least one entry, found none"):
        read_corpus(path)


def test_the_command_writes_a_checkpoint_and_says_how_it_was_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, out = tmp_path / "corpus.jsonl", tmp_path / "model"
    corpus.write_text(GOOD_LINE)
    arguments = ["train", "--corpus", str(corpus), "--out", str(out), "--size", "lite", "--minutes", "0.001"]
    assert main(arguments) == 0
    facts = orjson.loads((out / "training.json").read_bytes())
    assert facts["is_shortened"] is True
    assert facts["steps"] == facts["loss"][-1]["step"] < facts["recipe"]["steps"]
    assert facts["recall"]["trained"]["questions"] == 1
    assert sorted(path.name for path in out.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
    ]
    assert "steps in" in capsys.readouterr().out


def test_the_command_refuses_a_missing_corpus_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.jsonl"
    assert main(["train", "--corpus", str(missing), "--out", str(tmp_path / "out"), "--size", "heavy"]) == 2
    assert capsys.readouterr().err == f"{missing}: cannot be read: No such file or directory\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "soon"])
def test_the_command_refuses_a_wrong_time(minutes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "--corpus", "x", "--out", str(tmp_path), "--size", "lite", "--minutes", minutes])
    assert caught.value.code == 2
    assert f"expected a number of minutes above 0, got '{minutes}'" in capsys.readouterr().err
