"""A stored answer in the form in which a request wants it."""

from __future__ import annotations

from .entry import Content, Form
from .joining import joined
from .judge import JSON, STREAM
from .splitting import split


def in_form(content: Content, form: Form) -> tuple[bytes, bytes] | None:
    """Return media type and body; None where what is stored does not tell all that the form needs.

    Cost: nothing but a copy where the forms are the same; else linear, with a parse.
    """
    if form.is_stream and content.is_stream:
        return _stream(content, form)
    if not form.is_stream and not content.is_stream:
        return content.media_type, content.body
    if form.is_stream:
        body = split(content, is_usage_wanted=form.is_usage_wanted)
        return None if body is None else (STREAM + b"; charset=utf-8", body)
    body = joined(content)
    return None if body is None else (JSON, body)


def _stream(content: Content, form: Form) -> tuple[bytes, bytes] | None:
    if form.is_usage_wanted:
        return (content.media_type, content.body) if content.has_usage else None
    if content.usage is None:
        return content.media_type, content.body
    start, end = content.usage
    return content.media_type, content.body[:start] + content.body[end:]
