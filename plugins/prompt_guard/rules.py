"""The rules of one route, and which of them a prompt breaks first."""

from __future__ import annotations

from .config import PromptGuardConfig
from .normal import normal
from .patterns import Patterns
from .prompt import BadPromptError, Prompt, read_prompt

_HELD = "the prompt holds what is not allowed here"


class Refusal(Exception):
    """A prompt that is not let through. `message` is for the client, `detail` for the log; both hold nothing of it."""

    def __init__(self, reason: str, kind: str, message: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.message = message
        self.detail = detail or message


class Rules:
    """What the prompts of one route may be."""

    def __init__(self, config: PromptGuardConfig) -> None:
        self.max_bytes = config.max_bytes
        self._config = config
        self._texts, self._patterns = config.denied()
        self._allowed = Patterns(config.allow_patterns, fold_case=config.fold_case)
        self._has_patterns = bool(self._texts or self._patterns or self._allowed)

    def judge(self, data: bytes, model: str | None) -> None:
        """Let a body pass, or not. `model` is the one routed to, if that is known. Raises: Refusal."""
        try:
            prompt = read_prompt(data)
            if prompt.is_tokens and self._has_patterns:
                raise BadPromptError("the prompt is given as numbers of tokens, which cannot be looked at")
        except BadPromptError as error:
            if self._config.on_unknown == "pass":
                return
            raise Refusal("shape", "bad_body", str(error)) from None
        self._check_model(model or prompt.model)
        self._check_sizes(prompt)
        self._check_form(prompt)
        self._check_texts(prompt)

    def _check_model(self, model: str | None) -> None:
        allowed = self._config.models
        if allowed is None:
            return
        if model is None:
            raise Refusal("model", "bad_body", "the body must name a `model`")
        if not any(model == name or (name.endswith("*") and model.startswith(name[:-1])) for name in allowed):
            raise Refusal("model", "model_not_found", "", "the model is none of `models`")

    def _check_sizes(self, prompt: Prompt) -> None:
        for name, number, limit in (
            ("characters", prompt.num_characters, self._config.max_characters),
            ("messages", prompt.num_messages, self._config.max_messages),
            ("tokens", prompt.max_tokens, self._config.max_tokens),
        ):
            if limit is not None and number > limit:
                what = "the request asks for" if name == "tokens" else "the prompt has"
                raise Refusal(name, "bad_body", f"{what} {number} {name}, at most {limit} are allowed here")

    def _check_form(self, prompt: Prompt) -> None:
        roles = self._config.roles
        if roles is not None and not prompt.roles.issubset(roles):
            raise Refusal("role", "forbidden", f"messages here have one of the roles {', '.join(roles)}")
        if prompt.has_tools and not self._config.tools:
            raise Refusal("tools", "forbidden", "tools are not allowed here")

    def _check_texts(self, prompt: Prompt) -> None:
        if not self._has_patterns:
            return
        texts = [normal(text, fold_case=self._config.fold_case) for text in prompt.texts]
        for name, denied in (("deny_texts", self._texts), ("deny_patterns", self._patterns)):
            for text in texts if denied else ():
                if denied.is_in(text):
                    raise Refusal("denied", "forbidden", _HELD, f"{name}[{denied.which(text)}]")
        if self._allowed and not any(self._allowed.is_in(text) for text in texts):
            raise Refusal("not_allowed", "forbidden", _HELD, "none of `allow_patterns`")
