"""Rounds of thought: what a round may look at, and what its scores mean."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from model_export.contract.config import DeliberationConfig
from training.deliberation import Deliberator

FEATURES, TEXT = 5, 6

SHAPE = DeliberationConfig(d_model=16, heads=2, thoughts=3)


@pytest.fixture
def network() -> Deliberator:
    torch.manual_seed(2)
    network = Deliberator(torch.zeros(FEATURES), torch.ones(FEATURES), TEXT, SHAPE)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return network.eval()


def inputs(candidates: int = 7, history: int = 4) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return {
        "features": torch.randn(2, candidates, FEATURES, generator=draw),
        "candidates": torch.randn(2, candidates, TEXT, generator=draw),
        "history_texts": torch.randn(2, history, TEXT, generator=draw),
        "mask": torch.ones(2, history, dtype=torch.bool),
        "base": -torch.rand(2, candidates, generator=draw),
    }


@torch.no_grad()
def rounds(network: Deliberator, given: dict[str, Tensor], count: int) -> list[Tensor]:
    outcome: list[Tensor] = network(**given, rounds=count)
    return outcome


def test_the_order_of_candidates_does_not_matter(network: Deliberator) -> None:
    given = inputs()
    order = torch.randperm(7)
    shuffled = given | {name: given[name][:, order] for name in ("features", "candidates", "base")}
    for scores, other in zip(rounds(network, given, 3), rounds(network, shuffled, 3), strict=True):
        torch.testing.assert_close(other, scores[:, order])


def test_left_padding_and_old_items_change_nothing(network: Deliberator) -> None:
    given = inputs(history=Deliberator.recent)
    longer = given | {
        "history_texts": torch.cat([torch.randn(2, 5, TEXT), given["history_texts"]], 1),
        "mask": torch.cat([torch.tensor([[True] * 5, [False] * 5]), given["mask"]], 1),
    }
    torch.testing.assert_close(rounds(network, longer, 2)[-1], rounds(network, given, 2)[-1])


def test_history_and_rivals_matter(network: Deliberator) -> None:
    given = inputs()
    for name in ("history_texts", "candidates", "features"):
        changed = given[name].clone()
        changed[:, 0] += 1.0
        before, after = (rounds(network, part, 2)[-1] for part in (given, given | {name: changed}))
        assert (before - after)[:, 1:].abs().max() > 1e-4, name


def test_a_score_is_the_trusted_mix_and_the_mean_of_all_judgements(network: Deliberator) -> None:
    """Each round moves the mean by what it judges itself, so late rounds refine."""
    given = inputs()
    trusted = (network.trust * given["base"]).detach()
    judged = torch.zeros_like(trusted)
    notes, thoughts = network.start(given["candidates"])
    with torch.no_grad():
        base = given.pop("base")
        considered = network.consider(**given)
        for number in (1.0, 2.0, 3.0):
            state = (*considered, given["mask"], base, judged, notes, thoughts)
            _, judgement, _, _ = network.weigh(*state, torch.ones(1))
            scores, mean, notes, thoughts = network.weigh(*state, torch.tensor([number]))
            torch.testing.assert_close(mean, judged + (judgement - judged) / number)
            torch.testing.assert_close(scores, trusted + mean)
            judged = mean


def test_an_untrained_round_is_the_mix() -> None:
    network = Deliberator(torch.zeros(FEATURES), torch.ones(FEATURES), TEXT, SHAPE).eval()
    given = inputs()
    for scores in rounds(network, given, 3):
        torch.testing.assert_close(scores, given["base"])
