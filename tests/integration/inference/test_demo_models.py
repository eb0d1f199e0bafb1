"""The committed demo models: size, origin, layout, and what they answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson
import pytest
import torch

from headgate.inference.config import read_config
from headgate.inference.generate import FinishReason, GenerationRequest, generate
from headgate.inference.model import Deepseek
from headgate.inference.sampler import Sampling
from headgate.inference.tokenizer import Tokenizer, read_tokenizer
from headgate.inference.training.corpus import Entry, read_corpus
from headgate.inference.training.recall import GOOD_OVERLAP, overlap
from headgate.inference.training.recipe import RECIPES
from headgate.inference.weights import load_model

DEMO = Path(__file__).parents[3] / "demo"
SIZES = ("heavy", "lite")
MOST_BYTES = 4_000_000

# Of the 20 questions in questions.txt, how many each model must answer from the corpus.
LEAST_GOOD = {"heavy": 20, "lite": 20}

# None of these stands in the corpus. Of the 20, how many each model must turn away in whole sentences.
LEAST_TURNED_AWAY = {"heavy": 20, "lite": 17}
OFF_TOPIC = (
    "Where does the postman live?",
    "how do i knit socks",
    "Zwölf Boxkämpfer jagen Viktor",
    "🙂",
    "who invented the bicycle?",
    "why is grass green?",
    "tell me about your grandmother",
    "write a limerick about a frog",
    "what is 12 plus 30?",
    "how do I repair a bicycle",
    "which phone is the best?",
    "what is a violin?",
    "is it going to snow",
    "sing me something",
    "what is the capital of Norway?",
    "how do I ride a horse?",
    "give me a recipe for lasagne",
    "do you like bananas?",
    "translate cat into Polish",
    "what do you think about politics in general?",
)


@dataclass(frozen=True, slots=True)
class Loaded:
    model: Deepseek
    tokenizer: Tokenizer

    def ask(self, question: str) -> tuple[str, FinishReason | None]:
        prompt = tuple(self.tokenizer.encode_chat([{"role": "user", "content": question}]))
        request = GenerationRequest(prompt, max_tokens=160, sampling=Sampling(temperature=0.0))
        steps = list(generate(self.model, self.tokenizer, request, lambda: False))
        return "".join(step.text for step in steps), steps[-1].finish_reason


@cache
def load(size: str) -> Loaded:
    model_dir = DEMO / "models" / size
    return Loaded(load_model(model_dir, read_config(model_dir)), read_tokenizer(model_dir))


@cache
def corpus() -> tuple[Entry, ...]:
    return read_corpus(DEMO / "corpus.jsonl")


def questions() -> list[str]:
    return (DEMO / "questions.txt").read_text().splitlines()


def expected_answer(question: str) -> str:
    found = [e.answer for e in corpus() for text in e.questions + e.held_out if text.lower() == question.lower()]
    assert len(found) == 1, question
    return found[0]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("size", SIZES)
def test_the_folder_is_small_and_complete(size: str) -> None:
    files = {path.name: path.stat().st_size for path in (DEMO / "models" / size).iterdir()}
    assert sum(files.values()) <= MOST_BYTES
    assert set(files) == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
    }


@pytest.mark.parametrize("size", SIZES)
def test_the_model_was_made_from_this_corpus_by_this_recipe(size: str) -> None:
    facts = orjson.loads((DEMO / "models" / size / "training.json").read_bytes())
    assert facts["corpus_sha256"] == hashlib.sha256((DEMO / "corpus.jsonl").read_bytes()).hexdigest()
    assert facts["is_shortened"] is False
    assert facts["steps"] == RECIPES[size].steps == facts["loss"][-1]["step"]
    assert facts["loss"][-1]["loss"] < facts["loss"][0]["loss"] / 20
    assert facts["parameters"] == sum(parameter.numel() for parameter in load(size).model.parameters())


def test_heavy_is_the_larger_one() -> None:
    heavy, lite = (sum(p.numel() for p in load(size).model.parameters()) for size in SIZES)
    assert heavy > 3 * lite


def test_the_questions_are_twenty_and_some_are_held_out() -> None:
    held_out = {text.lower() for entry in corpus() for text in entry.held_out}
    trained = {text.lower() for entry in corpus() for text in entry.questions}
    asked = [question.lower() for question in questions()]
    assert len(set(asked)) == 20
    assert sum(question in held_out for question in asked) >= 6
    assert not held_out & trained


@pytest.mark.parametrize("size", SIZES)
def test_the_questions_are_answered_from_the_corpus(size: str) -> None:
    weak = []
    for question in questions():
        answer, reason = load(size).ask(question)
        assert reason is FinishReason.STOP, f"{question} -> {answer}"
        if overlap(answer, expected_answer(question)) < GOOD_OVERLAP:
            weak.append(f"{question} -> {answer}")
    assert len(questions()) - len(weak) >= LEAST_GOOD[size], "\n".join(weak)


@pytest.mark.parametrize("size", SIZES)
def test_off_topic_questions_are_turned_away_in_whole_sentences(size: str) -> None:
    known = {text.lower() for entry in corpus() for text in entry.questions + entry.held_out}
    refusals = [entry.answer for entry in corpus() if entry.id.startswith("off-topic-")]
    missed = []
    for question in OFF_TOPIC:
        assert question.lower() not in known
        answer, reason = load(size).ask(question)
        assert reason is FinishReason.STOP, f"{question} -> {answer}"
        if max(overlap(answer, refusal) for refusal in refusals) < 0.95:
            missed.append(f"{question} -> {answer}")
    assert len(OFF_TOPIC) - len(missed) >= LEAST_TURNED_AWAY[size], "\n".join(missed)


@pytest.mark.parametrize("size", SIZES)
def test_a_plain_completion_answers_too(size: str) -> None:
    tokenizer, model = load(size).tokenizer, load(size).model
    prompt = tuple(tokenizer.encode("What is a reverse proxy?"))
    request = GenerationRequest(prompt, max_tokens=160, sampling=Sampling(temperature=0.0))
    steps = list(generate(model, tokenizer, request, lambda: False))
    text = "".join(step.text for step in steps)
    assert steps[-1].finish_reason is FinishReason.STOP
    assert overlap(text, expected_answer("What is a reverse proxy?")) >= GOOD_OVERLAP, text


@pytest.mark.parametrize("size", SIZES)
def test_transformers_gives_the_same_logits(size: str) -> None:
    from transformers import DeepseekV3ForCausalLM

    oracle = DeepseekV3ForCausalLM.from_pretrained(DEMO / "models" / size, dtype=torch.float32)
    oracle.eval()
    ids = torch.tensor([load(size).tokenizer.encode_chat([{"role": "user", "content": "What is GCRA?"}])])
    with torch.inference_mode():
        torch.testing.assert_close(load(size).model(ids), oracle(ids).logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_transformers_renders_the_same_prompt(size: str) -> None:
    from transformers import PreTrainedTokenizerFast

    theirs = PreTrainedTokenizerFast.from_pretrained(DEMO / "models" / size)
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "What is GCRA?"}]
    rendered = theirs.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert rendered == load(size).tokenizer.render_chat(messages)
    assert theirs(rendered, add_special_tokens=False)["input_ids"] == load(size).tokenizer.encode_chat(messages)
