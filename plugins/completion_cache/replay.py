"""A stored answer in the form in which a request wants it."""

from __future__ import annotations

from .entry import Content, Form
from .joining import joined
from .judge import JSON, STREAM, content_of
from .splitting import split


def in_form(content: Content, form: Form) -> tuple[bytes, bytes] | None:
    """Return media type and body; None where what is stored does not tell all that the form needs.

    Cost: nothing but a copy where the forms are the same; else that of `converted`.
    """
    if content.is_stream != form.is_stream:
        other = converted(content)
        return None if other is None else in_form(other, form)
    if not content.is_stream:
        return content.media_type, content.body
    if form.is_usage_wanted:
        return (content.media_type, content.body) if content.has_usage else None
    if content.usage is None:
        return content.media_type, content.body
    start, end = content.usage
    return content.media_type, content.body[:start] + content.body[end:]


def converted(content: Content) -> Content | None:
    """Return an answer in the other form; None where that cannot be told without loss. Cost: linear, with a parse."""
    if content.is_stream:
        body = joined(content)
        return None if body is None else Content(False, JSON, body)
    body = split(content)
    return None if body is None else content_of(body, (STREAM + b"; charset=utf-8").decode())
