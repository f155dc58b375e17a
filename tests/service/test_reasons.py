"""Reasons are looked up in the evidence, and say nothing that is not so."""

from __future__ import annotations

import numpy as np

from model_export.contract.evidence import NeighbourTable
from service.reasons import ReasonFinder

NOTHING = NeighbourTable(np.full((5, 1), -1), np.zeros((5, 1)))
FOLLOWERS = NeighbourTable(
    np.array([[3, 4], [3, -1], [3, -1], [-1, -1], [-1, -1]]),
    np.array([[0.2, 0.1], [0.3, 0], [0.1, 0], [0, 0], [0, 0]]),
)


def test_reasons() -> None:
    finder = ReasonFinder(memory=FOLLOWERS, text=NOTHING)
    ranks = np.array([[1, 2, 3], [1, 3, 2]])
    followed, once, found = finder.find([0, 1, 2, 0], np.array([3, 4, 1]), ranks)
    assert followed == [("follows", [0, 1])]  # 0.2, against 0.3 two positions earlier
    assert once == [("follows", [0])]
    assert found == [("repeat", []), ("reasoned", [])]


def test_an_item_without_evidence_that_did_not_rise_just_fits() -> None:
    finder = ReasonFinder(memory=NOTHING, text=NOTHING)
    assert finder.find([0], np.array([1]), np.array([[1], [1]])) == [[("fits", [])]]
