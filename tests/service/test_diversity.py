"""Diversity trades score for difference."""

from __future__ import annotations

import numpy as np

from service.diversity import diversify

SCORES = np.array([3.0, 2.9, 1.0])
TWINS_AND_A_STRANGER = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def test_none_keeps_the_order_and_much_puts_the_stranger_second() -> None:
    assert diversify(SCORES, TWINS_AND_A_STRANGER, 3, 0.0).tolist() == [0, 1, 2]
    assert diversify(SCORES, TWINS_AND_A_STRANGER, 2, 0.7).tolist() == [0, 2]


def test_few_or_equal_items() -> None:
    assert diversify(np.array([]), np.empty((0, 2)), 3, 0.5).tolist() == []
    assert diversify(np.zeros(2), np.eye(2), 5, 0.5).tolist() == [0, 1]
