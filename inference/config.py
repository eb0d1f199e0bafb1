"""The shape of a DeepSeek-V2 or V3 model, read from its config.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from .kernels.sample_torch import MAX_VOCAB

# So that no product of three sizes is too large to be computed with.
_MAX_SIZE = MAX_VOCAB
_MAX_LAYERS = 1000
_MAX_POSITIONS = 2**31 - 1


class CheckpointError(Exception):
    """A checkpoint that cannot be served; the message names the file and lists every problem."""


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """Rotary positions: plain, or stretched by YaRN where `factor` is set.

    `mscale` and `mscale_all_dim` are YaRN's temperature terms; 0 means absent.
    """

    theta: float = 10000.0
    is_interleaved: bool = True
    factor: float | None = None
    original_positions: int = 4096
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    mscale: float = 0.0
    mscale_all_dim: float = 0.0
    attention_factor: float | None = None
    is_truncated: bool = True


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Every size and switch of the forward pass, in the names of config.json."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    moe_intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    n_shared_experts: int
    n_routed_experts: int
    num_experts_per_tok: int
    n_group: int
    topk_group: int
    routed_scaling_factor: float
    norm_topk_prob: bool
    first_k_dense_replace: int
    q_lora_rank: int | None
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    max_position_embeddings: int
    rope: RopeConfig
    scoring_func: str = "sigmoid"
    rms_norm_eps: float = 1e-6
    attention_bias: bool = False
    tie_word_embeddings: bool = False
    num_nextn_predict_layers: int = 0
    eos_token_ids: tuple[int, ...] = ()

    @property
    def qk_head_dim(self) -> int:
        """Width of one query or key head."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    def is_sparse(self, layer: int) -> bool:
        """Tell whether this layer routes to experts."""
        return layer >= self.first_k_dense_replace


def read_config(model_dir: Path) -> ModelConfig:
    """Read config.json, and the end-of-text ids of generation_config.json where there is one.

    Raises: CheckpointError, with every problem at once.
    """
    data = read_json_object(model_dir / "config.json")
    generation = model_dir / "generation_config.json"
    if generation.is_file():
        eos = read_json_object(generation).get("eos_token_id")
        if eos is not None:
            return parse_config({**data, "eos_token_id": eos}, str(model_dir / "config.json"), str(generation))
    return parse_config(data, str(model_dir / "config.json"))


def read_json_object(path: Path) -> dict[str, object]:
    """Read a file that holds one JSON object.

    Raises: CheckpointError.
    """
    try:
        data = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise CheckpointError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(data).__name__}")
    return data


def parse_config(data: Mapping[str, object], source: str = "config.json", eos_source: str = "") -> ModelConfig:
    """Check the fields of a config.json and keep what the forward pass needs. `eos_source`: where the end tokens stand.

    Raises: CheckpointError, with every problem at once.
    """
    reader = _Reader(data, [])
    _refuse_unsupported(reader)
    config = ModelConfig(
        vocab_size=reader.integer("vocab_size"),
        hidden_size=reader.integer("hidden_size"),
        intermediate_size=reader.integer("intermediate_size"),
        moe_intermediate_size=reader.integer("moe_intermediate_size"),
        num_hidden_layers=reader.integer("num_hidden_layers", at_most=_MAX_LAYERS),
        num_attention_heads=reader.integer("num_attention_heads"),
        n_shared_experts=reader.integer("n_shared_experts"),
        n_routed_experts=reader.integer("n_routed_experts"),
        num_experts_per_tok=reader.integer("num_experts_per_tok"),
        n_group=_parse_groups(reader, "n_group"),
        topk_group=_parse_groups(reader, "topk_group"),
        routed_scaling_factor=reader.number("routed_scaling_factor"),
        norm_topk_prob=reader.flag("norm_topk_prob", not reader.is_v2),
        first_k_dense_replace=reader.integer("first_k_dense_replace", at_least=0),
        q_lora_rank=reader.integer("q_lora_rank") if data.get("q_lora_rank") is not None else None,
        kv_lora_rank=reader.integer("kv_lora_rank"),
        qk_nope_head_dim=reader.integer("qk_nope_head_dim"),
        qk_rope_head_dim=reader.integer("qk_rope_head_dim"),
        v_head_dim=reader.integer("v_head_dim"),
        max_position_embeddings=reader.integer("max_position_embeddings", at_most=_MAX_POSITIONS),
        rope=_parse_rope(reader),
        scoring_func="softmax" if reader.is_v2 else "sigmoid",
        rms_norm_eps=reader.number("rms_norm_eps", 1e-6),
        attention_bias=reader.flag("attention_bias", False),
        tie_word_embeddings=reader.flag("tie_word_embeddings", False),
        num_nextn_predict_layers=reader.integer("num_nextn_predict_layers", 0, at_least=0),
        eos_token_ids=_parse_eos(reader),
    )
    _check_fit(config, reader.problems)
    if reader.problems:
        raise CheckpointError("\n".join(_told(problem, source, eos_source) for problem in reader.problems))
    return config


def _told(problem: str, source: str, eos_source: str) -> str:
    return f"{eos_source if eos_source and problem.startswith('eos_token_id') else source}: {problem}"


_REQUIRED: Mapping[str, tuple[object, ...]] = {
    "model_type": ("deepseek_v3", "deepseek_v2"),
    "hidden_act": ("silu", None),
    "moe_layer_freq": (1, None),
    "quantization_config": (None,),
}
_REQUIRED_V3: Mapping[str, tuple[object, ...]] = {"scoring_func": ("sigmoid", None), "topk_method": ("noaux_tc", None)}
_REQUIRED_V2: Mapping[str, tuple[object, ...]] = {
    "scoring_func": ("softmax", None),
    "topk_method": ("greedy", "group_limited_greedy", None),
    # Its own code normalises instead of scaling, transformers does neither, and no published checkpoint asks for it.
    "norm_topk_prob": (False, None),
    "mlp_bias": (False, None),
}


def _refuse_unsupported(reader: _Reader) -> None:
    for name, allowed in {**_REQUIRED, **(_REQUIRED_V2 if reader.is_v2 else _REQUIRED_V3)}.items():
        value = reader.data.get(name)
        if value not in allowed:
            shown = " or ".join(orjson.dumps(each).decode() for each in allowed if each is not None) or "absent"
            reader.problems.append(f"{name}: expected {shown}, got {orjson.dumps(value).decode()} (unsupported)")
    heads, kv_heads = reader.data.get("num_attention_heads"), reader.data.get("num_key_value_heads")
    if kv_heads is not None and kv_heads != heads:
        reader.problems.append(f"num_key_value_heads: expected num_attention_heads ({heads}), got {kv_heads}")


def _parse_groups(reader: _Reader, name: str) -> int:
    """Read a number of groups of experts; "greedy" does not look at groups, whatever the file says of them."""
    if reader.is_v2 and reader.data.get("topk_method") != "group_limited_greedy":
        return 1
    return reader.integer(name)


def _parse_rope(reader: _Reader) -> RopeConfig:
    """Read `rope_parameters` (transformers 5) or `rope_theta` beside `rope_scaling` (published checkpoints)."""
    name = "rope_parameters" if reader.data.get("rope_parameters") is not None else "rope_scaling"
    fields = reader.data.get(name)
    if fields is None:
        fields = {}
    if not isinstance(fields, Mapping):
        reader.problems.append(f"{name}: expected an object, got {type(fields).__name__}")
        fields = {}
    inner = _Reader({"rope_theta": reader.data.get("rope_theta"), **fields}, reader.problems, f"{name}.")
    kind = fields.get("rope_type", fields.get("type", "default"))
    theta = inner.number("rope_theta", 10000.0)
    # V2 knows no other way, whatever the file says.
    is_interleaved = reader.is_v2 or reader.flag("rope_interleave", True)
    if kind == "default":
        return RopeConfig(theta=theta, is_interleaved=is_interleaved)
    if kind != "yarn":
        reader.problems.append(f'{name}.rope_type: expected "default" or "yarn", got {kind!r} (unsupported)')
        return RopeConfig()
    if theta <= 1:
        reader.problems.append(f"{name}.rope_theta: expected above 1 to be stretched by YaRN, got {theta}")
    positions = reader.data.get("max_position_embeddings")
    default = positions if isinstance(positions, int) else None
    original = inner.integer("original_max_position_embeddings", default, at_most=_MAX_POSITIONS)
    factor = inner.number("factor")
    attention_factor = fields.get("attention_factor")
    return RopeConfig(
        theta=theta,
        is_interleaved=is_interleaved,
        factor=factor,
        original_positions=original,
        beta_fast=inner.number("beta_fast", 32.0),
        beta_slow=inner.number("beta_slow", 1.0),
        mscale=inner.number("mscale", 0.0, is_zero_allowed=True),
        mscale_all_dim=inner.number("mscale_all_dim", 0.0, is_zero_allowed=True),
        attention_factor=None if attention_factor is None else inner.number("attention_factor"),
        is_truncated=inner.flag("truncate", True),
    )


def _parse_eos(reader: _Reader) -> tuple[int, ...]:
    value = reader.data.get("eos_token_id")
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if any(not isinstance(token, int) or isinstance(token, bool) or token < 0 for token in ids):
        reader.problems.append(f"eos_token_id: expected an id or a list of ids, got {value!r}")
        return ()
    return tuple(ids)


def _check_fit(config: ModelConfig, problems: list[str]) -> None:
    if problems:  # numbers that are missing fit nothing
        return
    if config.qk_rope_head_dim % 2:
        problems.append(f"qk_rope_head_dim: expected an even number, got {config.qk_rope_head_dim}")
    if any(token >= config.vocab_size for token in config.eos_token_ids):
        problems.append(
            f"eos_token_id: expected ids below vocab_size {config.vocab_size}, got {list(config.eos_token_ids)}"
        )
    if config.first_k_dense_replace >= config.num_hidden_layers:
        return
    group_size, rest = divmod(config.n_routed_experts, config.n_group)
    # The score of a group is that of its best expert, or the sum of its two best.
    least = 1 if config.scoring_func == "softmax" else 2
    if rest or group_size < least:
        problems.append(
            f"n_group: expected a divisor of n_routed_experts ({config.n_routed_experts}) that leaves"
            f" at least {least} in a group, got {config.n_group}"
        )
    elif config.topk_group > config.n_group:
        problems.append(f"topk_group: expected at most n_group ({config.n_group}), got {config.topk_group}")
    elif config.num_experts_per_tok > config.topk_group * group_size:
        problems.append(
            f"num_experts_per_tok: expected at most topk_group times the experts of a group"
            f" ({config.topk_group * group_size}), got {config.num_experts_per_tok}"
        )


@dataclass(slots=True)
class _Reader:
    """Typed access to JSON fields; collects problems instead of raising."""

    data: Mapping[str, object]
    problems: list[str]
    prefix: str = ""

    @property
    def is_v2(self) -> bool:
        return self.data.get("model_type") == "deepseek_v2"

    def integer(self, name: str, default: int | None = None, at_least: int = 1, at_most: int = _MAX_SIZE) -> int:
        value = self._get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
            return int(self._refuse(name, value, f"a whole number of at least {at_least}"))
        return value if value <= at_most else int(self._refuse(name, value, f"at most {at_most}"))

    def number(self, name: str, default: float | None = None, is_zero_allowed: bool = False) -> float:
        value = self._get(name, default)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and math.isfinite(value) and (value > 0 or (is_zero_allowed and value == 0)):  # type: ignore[arg-type,operator]
            return float(value)  # type: ignore[arg-type]
        return self._refuse(name, value, "a number above 0")

    def flag(self, name: str, default: bool) -> bool:
        value = self._get(name, default)
        if isinstance(value, bool):
            return value
        return bool(self._refuse(name, value, "true or false"))

    def _get(self, name: str, default: object) -> object:
        value = self.data.get(name)
        return default if value is None else value

    def _refuse(self, name: str, value: object, wanted: str) -> float:
        got = "nothing" if value is None else repr(value)
        self.problems.append(f"{self.prefix}{name}: expected {wanted}, got {got}")
        return 1.0
