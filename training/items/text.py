"""Fits the text encoder on a catalogue."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils.extmath import randomized_svd

from model_export.contract.text_vectors import SparseRows, TextEncoder, text_terms

MAX_TERMS = 50_000
"""Bound of the vocabulary; the terms of the most items stay."""
MAX_SHARE = 0.5
"""A term in more than this share of the texts is a stop word."""
SMALL_CATALOGUE = 100
"""With fewer texts than this, a term of a single text is kept too."""


def fit_text_encoder(texts: Sequence[str], *, dims: int, seed: int) -> TextEncoder:
    """Vocabulary, smoothed idf and truncated SVD of the texts' TF-IDF rows.

    Args:
        texts: one text an item, empty where there is none.
        dims: width of the dense vectors; less where the catalogue is too small for it, 1 (zeros)
            where nothing is written at all.
        seed: of the randomized SVD.
    """
    written = [terms for text in texts if (terms := set(text_terms(text)))]
    rarest = 2 if len(written) >= SMALL_CATALOGUE else 1
    commonest = max(rarest, MAX_SHARE * len(written))
    document_frequency = Counter(term for terms in written for term in terms)
    kept = [term for term, count in document_frequency.items() if rarest <= count <= commonest]
    kept = sorted(kept, key=lambda term: (-document_frequency[term], term))[:MAX_TERMS]
    idf = np.asarray(
        [1 + math.log((1 + len(written)) / (1 + document_frequency[term])) for term in kept],
        dtype=np.float32,
    )
    unprojected = TextEncoder(tuple(kept), idf, np.zeros((len(kept), 1), dtype=np.float32))
    if not kept:
        return unprojected
    tfidf = tfidf_matrix(unprojected.tfidf(texts), len(kept))
    dims = min(dims, len(kept), len(written))
    _, _, directions = randomized_svd(tfidf, dims, random_state=seed)
    return TextEncoder(unprojected.vocabulary, idf, directions.T.astype(np.float32))


def tfidf_matrix(rows: SparseRows, n_terms: int) -> csr_array:
    """The encoder's sparse rows as a scipy matrix (items, terms)."""
    shape = (len(rows.offsets) - 1, n_terms)
    return csr_array((rows.weights, rows.terms, rows.offsets), shape=shape)
