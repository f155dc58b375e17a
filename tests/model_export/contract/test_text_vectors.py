from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from model_export.contract.errors import BundleError
from model_export.contract.text_vectors import TextEncoder, text_terms, unit_rows


@pytest.fixture
def encoder() -> TextEncoder:
    return TextEncoder(
        vocabulary=("red", "shoe", "hat"),
        idf=np.array([1, 2, 3], dtype=np.float32),
        projection=np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32),
    )


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("L'Oréal PARIS – Crème 50ml!", ["l", "oréal", "paris", "crème", "50ml"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("snake_case", ["snake", "case"]),
        ("赤い靴 no.5", ["赤", "い", "靴", "no", "5"]),
        ("", []),
    ],
)
def test_words_of_many_scripts(text: str, terms: list[str]) -> None:
    assert text_terms(text) == terms


def test_tfidf_row_computed_by_hand(encoder: TextEncoder) -> None:
    rows = encoder.tfidf(["Shoe, red SHOE; unknown", "", "hat"])
    red, shoe = 1.0, 2 * (1 + math.log(2))
    length = math.hypot(red, shoe)
    assert rows.offsets.tolist() == [0, 2, 2, 3]
    assert rows.terms.tolist() == [0, 1, 2]
    np.testing.assert_allclose(rows.weights, [red / length, shoe / length, 1], rtol=1e-6)


def test_dense_vectors_are_projected_unit_rows_and_zero_without_words(encoder: TextEncoder) -> None:
    dense = encoder(["red", "hat", "nothing known", ""])
    half = math.sqrt(0.5)
    np.testing.assert_allclose(dense, [[1, 0], [half, half], [0, 0], [0, 0]], rtol=1e-6)
    assert encoder([]).shape == (0, 2)


def test_a_saved_encoder_loads_back(encoder: TextEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "text")
    loaded = TextEncoder.load(tmp_path / "text")
    assert loaded.vocabulary == encoder.vocabulary
    np.testing.assert_array_equal(loaded(["red hat"]), encoder(["red hat"]))


@pytest.mark.parametrize("name", ["vocabulary.json", "idf.npy", "projection.npy"])
def test_a_damaged_encoder_gives_one_clear_error(
    encoder: TextEncoder, tmp_path: Path, name: str
) -> None:
    encoder.save(tmp_path)
    (tmp_path / name).write_bytes(b"\x93NUMPY damaged")
    with pytest.raises(BundleError, match="cannot be read"):
        TextEncoder.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        TextEncoder.load(tmp_path)


def test_files_that_disagree_are_refused(encoder: TextEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    np.save(tmp_path / "idf.npy", encoder.idf[:2])
    with pytest.raises(BundleError, match="disagree"):
        TextEncoder.load(tmp_path)


def test_zero_rows_stay_zero() -> None:
    np.testing.assert_allclose(unit_rows(np.array([[3.0, 4], [0, 0]])), [[0.6, 0.8], [0, 0]])
