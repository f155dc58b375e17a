"""Names and shapes of what goes into and comes out of each ONNX graph.

B requests, H history positions, P decoder positions so far, d width, L decoder layers, T code tokens,
W beams, N items, C candidates, F features, D text dimensions, Z thought vectors, R newest history items
that they read. Float tensors are float32, `mask` is bool (True = a real item), tokens and rows are int64.
Item tables stay outside the graphs, so a new item needs no export.

encode       reads the history and takes step 0
think        one more reasoning step: writes one token and moves the state
answer       trie-constrained beam search over the item's codes
consider     reads the candidates and their evidence, before the first round over them
deliberate   one round over the candidates: re-scores them
"""

from __future__ import annotations

ENCODE_INPUTS = (
    "history",  # (B, H, d) input vectors of the history's items, right-aligned
    "mask",  # (B, H)
)
STEP_OUTPUTS = (
    "state",  # (B, d) s_i, compared with the item vectors by dot product
    "token_logits",  # (B, T) the next reasoning token
    "attention",  # (B, H) share of each history position in this step
    "thought",  # (B, d) sum of the decoder outputs so far
    "past_keys",  # (B, L, P, d)
    "past_values",  # (B, L, P, d)
)
ENCODE_OUTPUTS = (
    "encoded",  # (B, H, d) the history as the encoder sees it
    "cross_keys",  # (B, L, H, d)
    "cross_values",  # (B, L, H, d)
    *STEP_OUTPUTS,
)
THINK_INPUTS = (
    "token",  # (B,) the reasoning token to write
    "mask",
    "cross_keys",
    "cross_values",
    "past_thought",  # (B, d) `thought` of the step before
    "past_keys_in",  # (B, L, P, d)
    "past_values_in",  # (B, L, P, d)
)
THINK_OUTPUTS = STEP_OUTPUTS  # with P + 1 positions
ANSWER_INPUTS = (
    "mask",
    "cross_keys",
    "cross_values",
    "past_keys_in",
    "past_values_in",
    "allowed",  # (B, N) bool, in leaf order: which items may be generated
    # then for each level j: child_codes_j (n_j, fan-out), first_child_j (n_j,), leaf_range_j (n_{j+1}, 2)
)
ANSWER_OUTPUTS = (
    "leaves",  # (B, W) leaf numbers, best first; -1 where fewer items were allowed
    "log_likelihood",  # (B, W)
)
CONSIDER_INPUTS = (
    "features",  # (B, C, F) evidence of each candidate, see scoring.py
    "candidates",  # (B, C, D) text vectors of the candidates
    "history_texts",  # (B, H, D) text vectors of the history's items, right-aligned
    "mask",  # (B, H)
)
CONSIDER_OUTPUTS = (
    "known",  # (B, C, d) what the evidence says of each candidate
    "history_keys",  # (B, R, d) of the newest R history items
    "history_values",  # (B, R, d)
)
DELIBERATE_INPUTS = (
    *CONSIDER_OUTPUTS,
    "mask",
    "base",  # (B, C) mix of each candidate at step 0, relative to the best
    "judged_in",  # (B, C) mean judgement of the rounds before; zeros at first
    "notes_in",  # (B, C, d) what earlier rounds made of each candidate; zeros at first
    "thoughts_in",  # (B, Z, d) thought vectors of the round before; zeros at first
    "round",  # (1,) float, 1 for the first round
)
DELIBERATE_OUTPUTS = (
    "scores",  # (B, C)
    "judged",  # (B, C)
    "notes",  # (B, C, d)
    "thoughts",  # (B, Z, d)
)


def trie_inputs(levels: int) -> tuple[str, ...]:
    """Inputs of `answer` that hold the trie, in order."""
    return tuple(
        f"{name}_{level}"
        for level in range(levels)
        for name in ("child_codes", "first_child", "leaf_range")
    )


DYNAMIC_AXES = {
    **{
        name: {0: "B", 1: "H"}
        for name in ("history", "mask", "encoded", "history_texts", "attention")
    },
    **{name: {0: "B", 2: "H"} for name in ("cross_keys", "cross_values")},
    **{name: {0: "B", 2: "P"} for name in ("past_keys_in", "past_values_in")},
    **{name: {0: "B", 2: "P_next"} for name in ("past_keys", "past_values")},
    **{
        name: {0: "B", 1: "C"}
        for name in ("features", "candidates", "base", "judged_in", "judged", "scores")
    },
    **{name: {0: "B", 1: "C"} for name in ("known", "notes_in", "notes")},
    **{name: {0: "B", 1: "R"} for name in ("history_keys", "history_values")},
    **{name: {0: "B"} for name in ("state", "token", "token_logits", "thought", "past_thought")},
    **{name: {0: "B"} for name in ("leaves", "log_likelihood", "thoughts_in", "thoughts")},
    "allowed": {0: "B", 1: "N"},
    "round": {},
}
"""Axes of each tensor whose size is free."""


def trie_axes(levels: int) -> dict[str, dict[int, str]]:
    """Free axes of the trie's tables."""
    axes = {}
    for name in trie_inputs(levels):
        axes[name] = {0: f"{name}_nodes"}
        if name.startswith("child_codes"):
            axes[name][1] = f"{name}_fan_out"
    return axes
