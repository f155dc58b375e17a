"""Semantic IDs as decoder tokens: the one owner of every token offset.

A semantic ID is `levels` codes, coarse to fine. The decoder reads and writes tokens: the codes of
level 0 first, then those of level 1, and so on. Two control tokens stand after them: THINK opens
the reasoning, ANSWER closes it and asks for the item.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CodeVocabulary:
    """Token numbering for `sizes[level]` codes per level."""

    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"every level needs at least one code, got sizes {self.sizes}")

    @property
    def levels(self) -> int:
        """Codes in one semantic ID (m)."""
        return len(self.sizes)

    @property
    def offsets(self) -> tuple[int, ...]:
        """First token of each level."""
        return (0, *accumulate(self.sizes[:-1]))

    @property
    def n_codes(self) -> int:
        """Code tokens over all levels; also the number of output classes of the decoder."""
        return sum(self.sizes)

    @property
    def think(self) -> int:
        """Control token that opens the reasoning."""
        return self.n_codes

    @property
    def answer(self) -> int:
        """Control token that ends the reasoning and asks for the item's codes."""
        return self.n_codes + 1

    @property
    def n_tokens(self) -> int:
        """Code tokens and control tokens."""
        return self.n_codes + 2

    def level_slice(self, level: int) -> slice:
        """Tokens of one level."""
        return slice(self.offsets[level], self.offsets[level] + self.sizes[level])

    def tokens(self, codes: NDArray[np.integer]) -> NDArray[np.int64]:
        """Codes (..., levels) to tokens (..., levels)."""
        return codes.astype(np.int64) + np.asarray(self.offsets, dtype=np.int64)

    def codes(self, tokens: NDArray[np.integer]) -> NDArray[np.int64]:
        """Tokens (..., levels) of whole semantic IDs back to codes (..., levels)."""
        return tokens.astype(np.int64) - np.asarray(self.offsets, dtype=np.int64)

    def level_and_code(self, token: int) -> tuple[int, int]:
        """The level and code of one token.

        Raises:
            ValueError: the token is a control token or outside the vocabulary.
        """
        if not 0 <= token < self.n_codes:
            raise ValueError(f"token {token} is not a code; codes are 0 … {self.n_codes - 1}")
        level = max(i for i, offset in enumerate(self.offsets) if offset <= token)
        return level, token - self.offsets[level]
