from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.contract.semantic_ids import CodeVocabulary

sizes = st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple)


@st.composite
def vocabulary_and_codes(draw: st.DrawFn) -> tuple[CodeVocabulary, np.ndarray]:
    vocabulary = CodeVocabulary(draw(sizes))
    semantic_id = st.tuples(*(st.integers(0, size - 1) for size in vocabulary.sizes))
    return vocabulary, np.array(draw(st.lists(semantic_id, min_size=1, max_size=8)))


@given(vocabulary_and_codes())
def test_tokens_and_codes_are_inverse(case: tuple[CodeVocabulary, np.ndarray]) -> None:
    vocabulary, codes = case
    tokens = vocabulary.tokens(codes)
    np.testing.assert_array_equal(vocabulary.codes(tokens), codes)
    for level, column in enumerate(tokens.T):
        for token, code in zip(column, codes[:, level], strict=True):
            assert vocabulary.level_and_code(int(token)) == (level, code)


@given(sizes)
def test_every_token_belongs_to_one_level_or_is_a_control(level_sizes: tuple[int, ...]) -> None:
    vocabulary = CodeVocabulary(level_sizes)
    owned = [
        token
        for level in range(vocabulary.levels)
        for token in range(vocabulary.n_tokens)[vocabulary.level_slice(level)]
    ]
    assert [*owned, vocabulary.think, vocabulary.answer] == list(range(vocabulary.n_tokens))


@pytest.mark.parametrize("token", [-1, 5, 6])
def test_a_control_token_has_no_level(token: int) -> None:
    with pytest.raises(ValueError, match="is not a code"):
        CodeVocabulary((2, 3)).level_and_code(token)


@pytest.mark.parametrize("level_sizes", [(), (4, 0)])
def test_an_empty_level_is_refused(level_sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least one code"):
        CodeVocabulary(level_sizes)
