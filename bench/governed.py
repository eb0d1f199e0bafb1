"""Writes examples/governed.yaml and its keys.

    python -m bench.governed

*Governed* is one thing wherever figures are given: key auth over 1,000 keys, a rate limit for each key, the cache on
and asked, routing by `model` among 100 models and 100 routes, two targets, metrics and access log on. The keys are
made from their numbers, so that a benchmark can use them; they are good for nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CONFIG_NAME = "governed.yaml"
KEYS_NAME = "governed.keys.json"
PEPPER_VARIABLE = "HEADGATE_GOVERNED_PEPPER"
PEPPER = "governed-example-pepper"
NUM_KEYS = 1000
NUM_TENANTS = 50
NUM_MODELS = 100
NUM_ROUTES = 100
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

_HEAD = f"""\
# Everything on: the configuration that the performance figures call "governed". Written by `python -m bench.governed`.
#
#     {PEPPER_VARIABLE}={PEPPER} headgate serve examples/{CONFIG_NAME}
#
# The keys can be worked out by anybody (bench/governed.py): make real ones by `headgate keys new`.
listeners:
  - address: 127.0.0.1:8080

admin:
  address: 127.0.0.1:9901

access_log: "-"

clusters:
  primary:
    endpoints: ["http://127.0.0.1:9001"]
    pool: {{max_connections: 1024}}
  secondary:
    endpoints: ["http://127.0.0.1:9002"]
    pool: {{max_connections: 1024}}

plugins:
  api_key:
    pepper: env:{PEPPER_VARIABLE}
    keys_file: {KEYS_NAME}
  rate_limit: {{by: [key], rate: 100000/s, burst: 100000}}
  cache: {{max_bytes: 64MiB}}
  model_route: {{}}

stages:
  auth: [api_key]
  ratelimit: [api_key, rate_limit]
  cache: [cache]

models:
"""

_ROUTES = """
routes:
  - name: chat
    match: {path: /v1/chat/completions, methods: [POST]}
    kind: inference
    stages: {route: [model_route]}
  - name: models
    match: {path: /v1/models, methods: [GET, HEAD]}
    stages: {aggregate: [model_route]}
  - name: status
    match: {path: /status, methods: [GET, HEAD]}
    targets: [primary, secondary]
"""


def model(number: int) -> str:
    """Return the name of a model."""
    return f"model-{number:02}"


def key(number: int) -> str:
    """Return a key, in the form of every key of headgate's."""
    text = f"hg_bench_{_base36(hashlib.sha256(f'governed {number}'.encode()).digest())}"
    return f"{text}_{zlib.crc32(text.encode()):08x}"


def config_text() -> str:
    """Return the configuration."""
    models = "".join(f"  {model(number)}: {{targets: [primary, secondary]}}\n" for number in range(NUM_MODELS))
    others = range(NUM_ROUTES - _ROUTES.count("- name:"))
    routes = "".join(
        f'  - {{name: tool-{n:02}, match: {{path: "/tools/{n:02}/{{*rest}}"}}, targets: [primary, secondary]}}\n'
        for n in others
    )
    return f"{_HEAD}{models}{_ROUTES}{routes}"


def keys_text() -> str:
    """Return the keys file: one key a line."""
    lines = (json.dumps(_entry(number)) for number in range(NUM_KEYS))
    return '{"keys": [\n' + ",\n".join(lines) + "\n]}\n"


def write(folder: Path = EXAMPLES) -> None:
    """Write both files."""
    (folder / CONFIG_NAME).write_text(config_text())
    (folder / KEYS_NAME).write_text(keys_text())


def _entry(number: int) -> dict[str, object]:
    digest = hmac.digest(PEPPER.encode(), key(number).encode(), "sha256").hex()
    return {"id": f"k{number:03}", "tenant": f"t{number % NUM_TENANTS:02}", "digests": [{"digest": digest}]}


def _base36(data: bytes) -> str:
    number, digits = int.from_bytes(data, "big"), []
    for _ in range(43):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(digits)


if __name__ == "__main__":
    write()
