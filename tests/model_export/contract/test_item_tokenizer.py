from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model_export.contract.errors import BundleError
from model_export.contract.item_tokenizer import ItemTokenizer
from model_export.contract.item_vectors import VectorJoin
from model_export.contract.quantize import ResidualQuantizer
from model_export.contract.text_vectors import TextEncoder


@pytest.fixture
def tokenizer() -> ItemTokenizer:
    identity = np.eye(2, dtype=np.float32)
    layer = (np.concatenate([identity, identity]), np.zeros(2, dtype=np.float32))
    return ItemTokenizer(
        TextEncoder(("hat", "bolt"), np.ones(2, dtype=np.float32), identity),
        VectorJoin(1.0, 1.0, identity),
        ResidualQuantizer(np.stack([2 * identity, 0.1 * identity]), (layer,)),
    )


def test_like_texts_share_the_coarse_code_but_never_the_id(tokenizer: ItemTokenizer) -> None:
    taken: set[tuple[int, ...]] = set()
    for text, coarse in [("hat", 0), ("a hat", 0), ("bolt", 1), ("bolt bolt", 1)]:
        semantic_id = tokenizer.semantic_id(text, taken)
        assert semantic_id[0] == coarse
        assert semantic_id not in taken
        taken.add(semantic_id)


def test_a_saved_tokenizer_gives_the_same_ids(tokenizer: ItemTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer")
    loaded = ItemTokenizer.load(tmp_path / "tokenizer")
    for text in ("hat", "bolt", "hat bolt", ""):
        assert loaded.semantic_id(text, ()) == tokenizer.semantic_id(text, ())


@pytest.mark.parametrize("name", ["weights.json", "codebooks.npy", "layer_0_bias.npy"])
def test_a_missing_file_gives_one_clear_error(
    tokenizer: ItemTokenizer, tmp_path: Path, name: str
) -> None:
    tokenizer.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        ItemTokenizer.load(tmp_path)
