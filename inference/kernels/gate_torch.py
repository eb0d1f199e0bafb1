"""The choice of experts, in torch.

A row's result does not depend on the rows beside it: torch rounds a float32 sigmoid differently at the end of a
tensor, where its vector unit does not reach, so that is taken in float64 and rounded once.
"""

from __future__ import annotations

from torch import Tensor

KINDS = ("softmax", "sigmoid")
_SORTED_WHOLE = 256  # elements up to which a stable sort costs less than the search for ties


def gate(
    logits: Tensor,
    bias: Tensor | None,
    top_k: int,
    groups: int,
    kept_groups: int,
    *,
    kind: str,
    is_normalised: bool,
    factor: float,
) -> tuple[Tensor, Tensor]:
    """Return weights and ids of the experts chosen, best first; gradients flow through the weights.

    Shape: logits (tokens, experts) float32, bias (experts,) for the choice of kind `sigmoid`; weights (tokens, top_k)
    float32, ids (tokens, top_k) int32. A logit that is not a number is the best of all, so that the token's weights
    show it; the ids are valid all the same.
    Raises: ValueError for numbers that do not fit together.
    """
    check(logits, bias, top_k, groups, kept_groups, kind)
    scores = logits.softmax(dim=-1) if kind == "softmax" else logits.double().sigmoid().float()
    choice = (logits if kind == "softmax" else scores if bias is None else scores + bias).detach()
    if kept_groups < groups:
        chosen = _choose_in_groups(choice.unflatten(-1, (groups, -1)), top_k, kept_groups, kind)
    else:
        chosen = _best(choice, top_k)
    weights = scores.gather(-1, chosen)
    if is_normalised:
        weights = weights / (weights.sum(dim=-1, keepdim=True) + 1e-20)
    return weights * factor, chosen.int()


def check(logits: Tensor, bias: Tensor | None, top_k: int, groups: int, kept_groups: int, kind: str) -> None:
    """Raise ValueError unless the numbers fit together."""
    experts = logits.shape[-1]
    if kind not in KINDS:
        raise ValueError(f"expected a kind of gate out of {', '.join(KINDS)}, got {kind!r}")
    if bias is not None and kind == "softmax":
        raise ValueError("expected no bias for a softmax gate: only the choice of a sigmoid gate has one")
    if experts % groups or not 1 <= kept_groups <= groups:
        raise ValueError(
            f"expected {experts} experts in equal groups, some of them kept: got {kept_groups} of {groups}"
        )
    if not 1 <= top_k <= experts // groups * kept_groups:
        raise ValueError(f"expected 1 to {experts // groups * kept_groups} experts to choose, got {top_k}")
    if kind == "sigmoid" and kept_groups < groups == experts:
        raise ValueError("expected groups of at least 2 experts, whose scores are added, got groups of 1")


def _choose_in_groups(choice: Tensor, top_k: int, kept_groups: int, kind: str) -> Tensor:
    """Choose among the experts of the best groups only. Shape: choice (tokens, groups, experts of a group)."""
    size = choice.shape[-1]
    group_scores = choice.amax(dim=-1) if kind == "softmax" else choice.topk(2, dim=-1).values.sum(dim=-1)
    kept = _best(group_scores, kept_groups).sort(dim=-1).values  # in order, so that ties go to the lower id
    candidates = choice.gather(1, kept[..., None].expand(-1, -1, size)).flatten(1)
    chosen = _best(candidates, top_k)
    return kept.gather(1, chosen // size) * size + chosen % size


def _best(values: Tensor, count: int) -> Tensor:
    """Return where the largest values are, best first, ties by index: `topk` alone leaves their order open."""
    if values.numel() > _SORTED_WHOLE:
        best, indices = values.topk(min(count + 1, values.shape[-1]), dim=-1)
        if bool((best[..., 1:] < best[..., :-1]).all()):
            return indices[..., :count]
    return values.sort(dim=-1, descending=True, stable=True).indices[..., :count]
