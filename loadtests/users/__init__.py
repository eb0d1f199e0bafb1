"""The clients: each asks as its kind does, at instants that are set before any answer comes."""

from __future__ import annotations

from .abusive import AbusiveUser
from .cached import CachedUser
from .chat import ChatUser
from .open_user import OpenUser
from .slow_reader import SlowReader
from .stream import StreamUser

USERS: dict[str, type[OpenUser]] = {
    "chat": ChatUser,
    "stream": StreamUser,
    "cached": CachedUser,
    "abusive": AbusiveUser,
    "slow": SlowReader,
}
