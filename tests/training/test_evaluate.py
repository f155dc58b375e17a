from __future__ import annotations

import math

import numpy as np
import pytest

from model_export.contract.history import PADDING
from training.evaluate import BATCH, Board, own_batches, weight_that_pays

SCORES = np.float32([[5, 4, 3, 2, 1] + [0] * 15, [5, 4, 3, 2, 1] + [0] * 15])


def test_a_board_sums_up_both_protocols() -> None:
    board = Board(np.arange(20))
    histories = np.array([[PADDING, PADDING], [0, 1]])
    board.add(SCORES[:1], np.array([2]), histories[:1], SCORES[:1])
    board.add(SCORES[1:], np.array([2]), histories[1:], SCORES[1:])
    figures = board.figures()
    assert board.ranks.tolist() == [3, 1]
    assert board.ranks_kept.tolist() == [3, 3]
    assert figures["ndcg@10"] == pytest.approx((1 / math.log2(4) + 1) / 2)
    assert figures["ndcg@10 seen kept"] == pytest.approx(1 / math.log2(4))
    assert figures["recall@5"] == figures["recall@5 seen kept"] == 1


def test_what_is_shown_leaves_out_what_was_seen() -> None:
    rows = np.arange(20)
    board = Board(rows)
    scores = -rows[None].astype(np.float32)  # best first: 0, 1, 2, …
    board.add(scores, np.array([15]), np.array([[0, 1, 2]]))
    figures = board.figures()
    assert figures["coverage"] == pytest.approx(10 / 20)  # 3 … 12
    assert figures["popularity"] == pytest.approx(np.mean(range(3, 13)))


@pytest.mark.parametrize("users", [0, 1, BATCH, BATCH + 1, 2 * BATCH + 1, 5 * BATCH + 7])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_processes_share_the_users(users: int, count: int) -> None:
    shares = [list(own_batches(users, rank, count)) for rank in range(count)]
    seen = [user for share in shares for part, _ in share for user in range(users)[part]]
    assert sorted(seen) == list(range(users))
    assert sum(progress for _, progress in shares[0]) == users


def test_boards_are_joined() -> None:
    rows = np.arange(20)
    both, one, other = Board(rows), Board(rows), Board(rows)
    histories = np.array([[PADDING, PADDING], [0, 1]])
    both.add(SCORES, np.array([2, 3]), histories, SCORES)
    one.add(SCORES[:1], np.array([2]), histories[:1], SCORES[:1])
    other.add(SCORES[1:], np.array([3]), histories[1:], SCORES[1:])
    assert Board.joined([one, other]).figures() == both.figures()


def test_a_search_must_pay_for_its_time() -> None:
    none = np.tile([0.2, 0.4, 0.6, 0.8], 25)
    luck = none + np.tile([0.3, -0.3, 0.3, -0.29], 25)
    better = none + np.tile([0.1, 0.1, 0.0, 0.0], 25)
    assert weight_that_pays({0.0: none, 0.1: luck}) == 0
    assert weight_that_pays({0.0: none, 0.1: luck, 0.2: better}) == 0.2
    assert weight_that_pays({0.0: none, 0.1: none - 0.1}) == 0
