from __future__ import annotations

import math

import numpy as np

from training.items.text import fit_text_encoder, tfidf_matrix

SHOP = ["red wool hat", "blue wool hat", "steel bolt", "brass bolt", ""]


def test_idf_is_smoothed_and_counts_written_texts_only() -> None:
    encoder = fit_text_encoder(SHOP, dims=2, seed=0)
    assert encoder.vocabulary == ("bolt", "hat", "wool", "blue", "brass", "red", "steel")
    frequencies = np.array([2, 2, 2, 1, 1, 1, 1])
    np.testing.assert_allclose(encoder.idf, 1 + np.log(5 / (1 + frequencies)), rtol=1e-6)


def test_like_texts_lie_close_and_no_text_gives_zeros() -> None:
    vectors = fit_text_encoder(SHOP, dims=2, seed=0)(SHOP)
    assert vectors.shape == (5, 2)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.9
    assert abs(cosines[0, 2]) < 0.1
    assert not vectors[4].any()


def test_a_large_catalogue_drops_stop_words_and_words_of_one_text() -> None:
    texts = [f"the colour{i % 7} unique{i}" for i in range(120)]
    encoder = fit_text_encoder(texts, dims=16, seed=0)
    assert set(encoder.vocabulary) == {f"colour{i}" for i in range(7)}
    assert encoder.projection.shape == (7, 7)


def test_the_same_seed_gives_the_same_vectors() -> None:
    texts = [f"word{i % 9} word{i % 11} word{i % 13}" for i in range(150)]
    first, second = (fit_text_encoder(texts, dims=4, seed=3)(texts) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_catalogue_without_text_gives_zeros() -> None:
    vectors = fit_text_encoder(["", ""], dims=8, seed=0)(["", "something new"])
    np.testing.assert_array_equal(vectors, np.zeros((2, 1)))


def test_the_sparse_matrix_has_unit_rows() -> None:
    encoder = fit_text_encoder(SHOP, dims=2, seed=0)
    matrix = tfidf_matrix(encoder.tfidf(SHOP), len(encoder.vocabulary)).toarray()
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), [1, 1, 1, 1, 0], rtol=1e-6)
    assert math.isclose(matrix[0, 1], matrix[0, 2], rel_tol=1e-6)
