"""The reference page says what the models say."""

from __future__ import annotations

from pathlib import Path

from headgate.proxy.config import reference
from headgate.proxy.config.section import Section

PAGE = Path(__file__).parents[4] / "docs" / "configuration.md"


def _sections(kind: type[Section] = Section) -> list[type[Section]]:
    found = [part for part in kind.__subclasses__() if part.__module__.startswith("headgate.proxy.config.")]
    return found + [inner for part in found for inner in _sections(part)]


def test_page_is_what_the_models_say() -> None:
    assert PAGE.read_text() == reference.reference(), (
        "run: python -m headgate.proxy.config.reference > docs/configuration.md"
    )


def test_every_field_has_one_sentence() -> None:
    fields = [(kind.__name__, name, field) for kind in _sections() for name, field in kind.model_fields.items()]
    assert len(fields) > 90
    for kind, name, field in fields:
        text = field.description or ""
        assert text.endswith((".", ")")) and "\n" not in text, f"{kind}.{name}: {text!r}"


def test_every_field_stands_on_the_page() -> None:
    text = reference.reference()
    for kind in _sections():
        for name in kind.model_fields:
            assert f"| `{name}` |" in text or name == "settings", f"{kind.__name__}.{name}"
