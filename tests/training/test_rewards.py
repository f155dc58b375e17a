from __future__ import annotations

import math

import pytest
import torch

from training.rewards import (
    format_reward,
    group_advantages,
    likelihood_reward,
    match_reward,
    rank_reward,
    similarity_reward,
)


def test_format_asks_for_every_level() -> None:
    possible = torch.tensor([[[True, True], [True, False], [False, True]]])
    assert format_reward(possible).tolist() == [[1, 0, 0]]


def test_match_counts_leading_codes_only() -> None:
    answers = torch.tensor([[[1, 2, 3, 4], [1, 2, 9, 4], [9, 2, 3, 4], [1, 9, 3, 4]]])
    assert match_reward(answers, torch.tensor([[1, 2, 3, 4]])).tolist() == [[1, 0.5, 0, 0.25]]


def test_match_compares_each_group_with_its_own_target() -> None:
    answers = torch.tensor([[[1, 1]], [[1, 1]]])
    assert match_reward(answers, torch.tensor([[1, 1], [2, 1]])).tolist() == [[1], [0]]


def test_similarity_is_a_cosine() -> None:
    states = torch.tensor([[[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]]])
    reward = similarity_reward(states, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(reward, torch.tensor([[1.0, 0.6, -1.0]]))


def test_likelihood_is_a_clipped_gain_over_answering_directly() -> None:
    reward = likelihood_reward(torch.tensor([[-5.0, -4.5, -1.0, -9.0]]), torch.tensor([-5.0]))
    assert reward.tolist() == [[0, 0.5, 1, -1]]


def test_rank_counts_ties_against_the_model() -> None:
    scores = torch.tensor([[[0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3]]])
    reward = rank_reward(scores, torch.tensor([[0.9, 0.2, 0.0]]))
    expected = [1.0, 1 / math.log2(4), 1 / math.log2(5)]  # ranks 1, 3 (a tie) and 4
    assert reward[0].tolist() == pytest.approx(expected)


def test_advantages_are_relative_to_the_group() -> None:
    advantage, informative = group_advantages(torch.tensor([[1.0, 3.0], [10.0, 30.0], [5.0, 5.0]]))
    torch.testing.assert_close(advantage, torch.tensor([[-1.0, 1.0], [-1.0, 1.0], [0.0, 0.0]]))
    assert informative.tolist() == [True, True, False]


def test_advantages_by_hand() -> None:
    advantage, _ = group_advantages(torch.tensor([[0.0, 0.0, 0.0, 1.0]]))
    std = math.sqrt(3) / 4  # mean 1/4
    torch.testing.assert_close(advantage, torch.tensor([[-0.25, -0.25, -0.25, 0.75]]) / std)
