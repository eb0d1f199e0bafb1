"""Settings of `prompt_guard`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from ...proxy.config.section import Flag, Section, Whole
from ...proxy.config.units import ByteSize
from ...proxy.config.wording import FieldError
from ..api_key.key_entry import Pattern
from .normal import normal
from .patterns import BadPatternError, Patterns, literal

_MAX_PATTERNS = 1000
Count = Annotated[Whole, Field(ge=0, le=1_000_000_000)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class PromptGuardConfig(Section):
    """Settings. What a route sets takes the place of what is set here, member by member."""

    max_bytes: Annotated[ByteSize, Field(ge=1, le=16 << 20)] = Field(
        default=1 << 20, description="Largest body, which is read as a whole; a larger one is 413."
    )
    max_characters: Count | None = Field(default=None, description="Characters of all texts of the prompt together.")
    max_messages: Count | None = Field(default=None, description="Messages, or inputs in one request.")
    max_tokens: Count | None = Field(default=None, description="Tokens that a request may ask for, where it says so.")
    models: tuple[Pattern, ...] | None = Field(default=None, description="Models that may be asked; without it all.")
    roles: tuple[Text, ...] | None = Field(default=None, description="Roles of messages; without it all.")
    tools: Flag = Field(default=True, description="Whether tools may be offered, called and answered for.")
    deny_texts: tuple[Text, ...] = Field(
        default=(), max_length=_MAX_PATTERNS, description="Texts that no prompt may hold, in any place."
    )
    deny_patterns: tuple[Text, ...] = Field(
        default=(), max_length=_MAX_PATTERNS, description="Patterns, in the syntax of RE2, that no prompt may match."
    )
    allow_patterns: tuple[Text, ...] = Field(
        default=(), max_length=_MAX_PATTERNS, description="Patterns of which a prompt must match one, if there are any."
    )
    fold_case: Flag = Field(default=True, description="Whether capital and small letters are the same.")
    on_unknown: Literal["reject", "pass"] = Field(
        default="reject", description="What becomes of a body of another shape, or one that cannot be read."
    )

    @model_validator(mode="after")
    def _check(self) -> PromptGuardConfig:
        for place, text in enumerate(self.deny_texts):
            if not normal(text, fold_case=self.fold_case):
                raise FieldError(("deny_texts", place), "got a text of which nothing is seen, wanted one")
        for name in ("deny_patterns", "allow_patterns"):
            try:
                patterns = Patterns(getattr(self, name), fold_case=self.fold_case)
            except BadPatternError as error:
                raise FieldError((name, error.place), f"wanted a pattern of RE2: {error}") from None
            if patterns.is_in("") and name == "deny_patterns":
                raise FieldError((name, patterns.which("")), "it is found in every text, wanted one that is not")
        return self

    def denied(self) -> tuple[Patterns, Patterns]:
        """Return the texts and the patterns that are denied. Raises: BadPatternError."""
        texts = [literal(normal(text, fold_case=self.fold_case)) for text in self.deny_texts]
        return Patterns(texts, fold_case=False), Patterns(self.deny_patterns, fold_case=self.fold_case)
