"""Item texts as vectors: TF-IDF over words, then a linear projection (LSA).

Fitted once in training and kept in the bundle, so that a new item can be placed beside the old ones.
It needs numpy alone and is stored as readable JSON beside plain arrays.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_export.contract.errors import BundleError
from model_export.contract.files import write_json

# A word; a Chinese or Japanese character counts as one, because no spaces separate words there.
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\W_{_IDEOGRAPHS}]+")


def text_terms(text: str) -> list[str]:
    """The words and numbers of a text in order, case-folded."""
    return _WORD.findall(text.casefold())


@dataclass(frozen=True)
class SparseRows:
    """Rows of a sparse (rows, terms) table in the CSR layout.

    Attributes:
        offsets: (rows + 1,) int64; row i owns the entries offsets[i] to offsets[i + 1].
        terms: (entries,) int64 column numbers.
        weights: (entries,) float32.
    """

    offsets: NDArray[np.int64]
    terms: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class TextEncoder:
    """A fitted text encoder.

    Attributes:
        vocabulary: the known terms; their order numbers the columns.
        idf: (terms,) float32 inverse document frequencies.
        projection: (terms, dims) float32, from TF-IDF rows to dense vectors.
    """

    vocabulary: tuple[str, ...]
    idf: NDArray[np.float32]
    projection: NDArray[np.float32]
    _columns: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        columns = {term: column for column, term in enumerate(self.vocabulary)}
        object.__setattr__(self, "_columns", columns)

    def tfidf(self, texts: Sequence[str]) -> SparseRows:
        """TF-IDF rows of unit length, term frequencies dampened as 1 + ln(tf).

        A text without a known term gives an empty row.
        """
        columns: list[int] = []
        frequencies: list[float] = []
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        for row, text in enumerate(texts):
            counts = Counter(
                column
                for term in text_terms(text)
                if (column := self._columns.get(term)) is not None
            )
            for column in sorted(counts):
                columns.append(column)
                frequencies.append(1 + math.log(counts[column]))
            offsets[row + 1] = len(columns)
        terms = np.asarray(columns, dtype=np.int64)
        weights = np.asarray(frequencies, dtype=np.float32) * self.idf[terms]
        rows = np.repeat(np.arange(len(texts)), np.diff(offsets))
        lengths = np.sqrt(np.bincount(rows, weights**2, minlength=len(texts)))
        return SparseRows(offsets, terms, (weights / lengths[rows]).astype(np.float32))

    def project(self, tfidf: SparseRows) -> NDArray[np.float32]:
        """Dense (rows, dims) vectors of unit length; an empty row gives zeros."""
        dense = np.zeros((len(tfidf.offsets) - 1, self.projection.shape[1]), dtype=np.float32)
        for line, (start, end) in zip(dense, pairwise(tfidf.offsets), strict=True):
            line[:] = tfidf.weights[start:end] @ self.projection[tfidf.terms[start:end]]
        return unit_rows(dense)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Dense (texts, dims) vectors of unit length; zeros where no term is known."""
        return self.project(self.tfidf(texts))

    def save(self, folder: Path) -> None:
        """Write vocabulary.json, idf.npy and projection.npy into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "vocabulary.json", self.vocabulary)
        np.save(folder / "idf.npy", self.idf, allow_pickle=False)
        np.save(folder / "projection.npy", self.projection, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> TextEncoder:
        """Read what `save` wrote.

        Raises:
            BundleError: a file is missing, unreadable or does not fit the others.
        """
        try:
            vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
            idf = np.load(folder / "idf.npy", allow_pickle=False)
            projection = np.load(folder / "projection.npy", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise BundleError(f"the text encoder {folder} cannot be read: {error}") from error
        if not len(vocabulary) == len(idf) == len(projection):
            raise BundleError(f"the text encoder {folder} is damaged: its files disagree in length")
        return cls(tuple(vocabulary), idf, projection)


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows scaled to length 1; rows of zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.zeros(vectors.shape, dtype=np.float32)
    np.divide(vectors, lengths, out=unit, where=lengths > 0)
    return unit
