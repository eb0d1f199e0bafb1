"""Text to token ids and back: tokenizer.json, its chat template, and decoding piece by piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import jinja2
import jinja2.ext
import jinja2.sandbox
import orjson
import tokenizers
from tokenizers.decoders import DecodeStream

from .config import CheckpointError, read_json_object

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


class TemplateError(Exception):
    """The chat template refused these messages, or there is none."""


class Tokenizer:
    """The tokenizer of one checkpoint."""

    def __init__(self, backend: tokenizers.Tokenizer, template: str | None, settings: Mapping[str, object]) -> None:
        self.backend = backend
        self._special = {
            name: _token_text(settings.get(name)) for name in ("bos_token", "eos_token", "pad_token", "unk_token")
        }
        self._adds_bos = settings.get("add_bos_token") is True
        self._template = None if template is None else _compile(template)

    @property
    def vocab_size(self) -> int:
        """The number of ids, added tokens included."""
        return self.backend.get_vocab_size(with_added_tokens=True)

    @property
    def bos_id(self) -> int | None:
        """The id that begins a text, where the tokenizer declares one."""
        return self._id_of("bos_token")

    @property
    def eos_id(self) -> int | None:
        """The id that ends a text, where the tokenizer declares one."""
        return self._id_of("eos_token")

    def encode(self, text: str) -> list[int]:
        """Encode plain text, with what the tokenizer adds at the beginning."""
        ids: list[int] = self.backend.encode(text).ids
        if self._adds_bos and self.bos_id is not None and ids[:1] != [self.bos_id]:
            return [self.bos_id, *ids]
        return ids

    def encode_chat(self, messages: Sequence[Mapping[str, str]], now: datetime | None = None) -> list[int]:
        """Render the messages by the chat template, with the head of an answer, and encode them.

        Raises: TemplateError.
        """
        ids: list[int] = self.backend.encode(self.render_chat(messages, now), add_special_tokens=False).ids
        return ids

    def render_chat(self, messages: Sequence[Mapping[str, str]], now: datetime | None = None) -> str:
        """Give the text the chat template makes of the messages; a template that tells the date tells that of `now`.

        Raises: TemplateError.
        """
        if self._template is None:
            raise TemplateError("this model has no chat template; use /v1/completions")
        try:
            return self._template.render(
                messages=messages,
                add_generation_prompt=True,
                tools=None,
                strftime_now=(now or datetime.now()).strftime,
                **self._special,
            )
        except jinja2.TemplateError as error:
            raise TemplateError(f"the chat template refused the messages: {error.message}") from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise TemplateError(f"the chat template failed on the messages: {error}") from None

    def decode(self, ids: Sequence[int]) -> str:
        """Decode ids, special tokens left out."""
        text: str = self.backend.decode(list(ids), skip_special_tokens=True)
        return text

    def stream(self) -> TextStream:
        """Begin to decode one token at a time."""
        return TextStream(self)

    def _id_of(self, name: str) -> int | None:
        text = self._special[name]
        return self.backend.token_to_id(text) if text else None


class TextStream:
    """Decode one token at a time; a character split over tokens comes out whole, once it is complete."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._pending: list[int] = []

    def push(self, token: int) -> str:
        """Give the text that became certain with this token; empty while a character is incomplete."""
        self._pending.append(token)
        piece: str | None = self._stream.step(self._tokenizer.backend, token)
        if piece is None:
            return ""
        self._pending.clear()
        return piece

    def finish(self) -> str:
        """Give what was never completed, with a replacement character for broken bytes."""
        pending, self._pending = self._pending, []
        return self._tokenizer.decode(pending)


def read_tokenizer(model_dir: Path) -> Tokenizer:
    """Read tokenizer.json, with tokenizer_config.json and chat_template.jinja where they exist.

    Raises: CheckpointError.
    """
    path, settings_path, template_path = (model_dir / name for name in TOKENIZER_FILES)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        backend = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:
        # The binding raises nothing narrower than Exception.
        raise CheckpointError(f"{path}: not a tokenizer: {error}") from None
    backend.no_padding()
    backend.no_truncation()
    settings = read_json_object(settings_path) if settings_path.is_file() else {}
    try:
        template = template_path.read_text("utf-8") if template_path.is_file() else _find_template(settings)
        return Tokenizer(backend, template, settings)
    except jinja2.TemplateError as error:
        source = template_path if template_path.is_file() else settings_path
        raise CheckpointError(f"{source}: chat template: {error.message}") from None
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{template_path}: expected UTF-8: {error}") from None


def _find_template(settings: Mapping[str, object]) -> str | None:
    """Find the template in tokenizer_config.json: a text, or a list of named ones."""
    template = settings.get("chat_template")
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _token_text(value: object) -> str:
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def _compile(source: str) -> jinja2.Template:
    # Checkpoints are other people's files: their template gets no access to Python's objects.
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    return environment.from_string(source)


def _to_json(value: object, indent: int | None = None) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0).decode()


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
