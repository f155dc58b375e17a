"""The five rewards of stage 3, each over a group of traces and each on its own.

All take tensors over (E, G): E examples with G traces each, and return (E, G).
"""

from __future__ import annotations

import torch
from torch import Tensor

REWARDS = ("format", "match", "similarity", "likelihood", "rank")


def format_reward(free_codes_possible: Tensor) -> Tensor:
    """1 where the decoder's own first choice was a code of the trie at every level, else 0.

    The trie keeps every answer a real item; this asks whether it would have been one without help.

    Args:
        free_codes_possible: (E, G, m) bool.
    """
    return free_codes_possible.all(-1).float()


def match_reward(codes: Tensor, target: Tensor) -> Tensor:
    """Share of the target's codes that are right before the first wrong one.

    Args:
        codes: (E, G, m) answered codes.
        target: (E, m).
    """
    right = (codes == target[:, None]).float()
    return right.cumprod(-1).mean(-1)


def similarity_reward(state: Tensor, target: Tensor) -> Tensor:
    """Cosine of the final state (E, G, d) and the target vector (E, d), both of unit length."""
    return (state * target[:, None]).sum(-1)


def likelihood_reward(after_thinking: Tensor, directly: Tensor) -> Tensor:
    """How much likelier the target became by thinking: log-likelihood ratio, clipped to ±1.

    Args:
        after_thinking: (E, G) log p(target | trace).
        directly: (E,) log p(target | no reasoning).
    """
    return (after_thinking - directly[:, None]).clamp(-1, 1)


def rank_reward(scores: Tensor, target_score: Tensor) -> Tensor:
    """1 / log2(1 + rank) of the target among negatives; ties count against the model.

    Args:
        scores: (E, G, negatives).
        target_score: (E, G).
    """
    rank = 1 + (scores >= target_score[..., None]).sum(-1)
    return 1 / torch.log2(1 + rank.float())


def group_advantages(reward: Tensor) -> tuple[Tensor, Tensor]:
    """Advantage of each trace relative to its group (GRPO).

    Args:
        reward: (E, G).

    Returns:
        (E, G) advantages (reward − mean) / std, and (E,) which groups carry a signal at all.
    """
    spread = reward.std(1, unbiased=False)
    informative = spread > 1e-4
    centred = reward - reward.mean(1, keepdim=True)
    return centred / spread.clamp(min=1e-4)[:, None], informative
