from __future__ import annotations

import math

import numpy as np
import pytest

from model_export.contract.history import PADDING
from training.metrics import ranking_metrics, target_ranks

SCORES = np.array([[5.0, 4.0, 3.0, 2.0], [1.0, 1.0, 1.0, 0.0]])


def test_rank_one_is_the_best() -> None:
    assert target_ranks(SCORES[:1], np.array([0])).tolist() == [1]
    assert target_ranks(SCORES[:1], np.array([3])).tolist() == [4]


def test_ties_count_against_the_model() -> None:
    assert target_ranks(SCORES[1:], np.array([0])).tolist() == [3]
    assert target_ranks(np.zeros((1, 100)), np.array([7])).tolist() == [100]


def test_seen_items_leave_the_ranking_once_each() -> None:
    seen = np.array([[PADDING, 0, 0, 1], [PADDING, PADDING, PADDING, 1]])
    assert target_ranks(SCORES, np.array([2, 0]), seen).tolist() == [1, 2]


def test_a_seen_item_below_the_target_changes_nothing() -> None:
    assert target_ranks(SCORES[:1], np.array([1]), np.array([[2, 3]])).tolist() == [2]


def test_a_target_that_was_seen_is_taken_out_as_well() -> None:
    assert target_ranks(SCORES[:1], np.array([1]), np.array([[0, 1]])).tolist() == [0]


def test_a_target_without_a_score_is_not_ranked() -> None:
    scores = np.array([[1.0, np.nan, 0.0]])
    assert target_ranks(scores, np.array([1])).tolist() == [0]


def test_recall_and_ndcg_by_hand() -> None:
    metrics = ranking_metrics(np.array([1, 5, 6, 11, 0]))
    assert metrics["recall@5"] == pytest.approx(2 / 5)
    assert metrics["recall@10"] == pytest.approx(3 / 5)
    assert metrics["ndcg@5"] == pytest.approx((1 + 1 / math.log2(6)) / 5)
    assert metrics["ndcg@10"] == pytest.approx((1 + 1 / math.log2(6) + 1 / math.log2(7)) / 5)
