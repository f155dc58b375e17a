"""Gives an item that came after training its vectors and its semantic ID: by its text, without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model_export.contract.bundle import Bundle
from model_export.contract.item_encoder import ItemEncoder, scaled_texts
from model_export.contract.item_tokenizer import ItemTokenizer
from model_export.contract.prefix_index import PrefixIndex
from model_export.contract.quantize import SemanticID
from model_export.contract.reasoning import LoopTables
from model_export.contract.semantic_ids import CodeVocabulary
from service.live.tables import GrowingRows
from service.live.text_index import TextIndex


class Newcomers:
    """What the loop reads of a bundle's items, and of those that are added to them.

    Args:
        bundle: whose tables are added to.

    Raises:
        BundleError: it lacks what a new item needs, or another bundle lies there by now.
    """

    def __init__(self, bundle: Bundle) -> None:
        bundle.check_in_place()
        self._tokenizer = ItemTokenizer.load(bundle.path / "tokenizer")
        bundle.check_in_place()
        encoder = ("projection", "norm", "input_norm", "code_embeddings")
        self._encoder = ItemEncoder.of(
            {f"item_encoder_{part}": bundle.table(f"item_encoder_{part}") for part in encoder}
        )
        self._index = TextIndex(self._tokenizer.text, [item.text for item in bundle.catalog])
        self._vocabulary = CodeVocabulary(bundle.manifest.code_sizes)
        base = LoopTables.of(bundle)
        self._base = base
        self.vectors = GrowingRows(base.item_vectors)
        self._inputs = GrowingRows(base.item_inputs)
        self._texts = GrowingRows(base.item_texts)
        self._codes = GrowingRows(bundle.table("codes").astype(np.int64))
        self._taken: set[SemanticID] = set(map(tuple, self._codes.view.tolist()))
        self._leaves = set(range(len(self._codes)))
        self._trie: tuple[frozenset[int], LoopTables] | None = None

    def add(self, text: str) -> tuple[int, NDArray[np.float32]]:
        """Give a new item the next row.

        Args:
            text: `Item.text`.

        Returns:
            Its row, and how much it reads like each item before it (N,), as a cosine.
        """
        row = len(self.vectors)
        cosines, tfidf = self._index.add(text)
        unit = self._tokenizer.text.project(tfidf)
        encoded = self._tokenizer.quantizer.encode(self._tokenizer.join(unit))[0]
        try:
            codes = self._tokenizer.quantizer.free_id(encoded, self._taken)
            self._taken.add(codes)
            self._leaves.add(row)
        except ValueError:  # it can be recommended all the same, only not written code by code
            codes = tuple(self._tokenizer.quantizer.codes(encoded[None])[0].tolist())
        text_vector = scaled_texts(unit)
        tokens = self._vocabulary.tokens(np.array([codes]))
        self.vectors.append(self._encoder.targets(text_vector)[0])
        self._inputs.append(self._encoder.inputs(text_vector, tokens)[0])
        self._texts.append(text_vector[0])
        self._codes.append(np.array(codes))
        return row, cosines

    def remove(self, row: int) -> None:
        """Free the semantic ID of an added item that is gone."""
        if row in self._leaves:
            self._leaves.discard(row)
            self._taken.discard(tuple(self._codes.view[row].tolist()))

    def tables(self) -> LoopTables:
        """What the loop reads of all items so far."""
        trie, leaf_items = self._base.trie, self._base.leaf_items
        leaves = frozenset(self._leaves)
        if self._trie and self._trie[0] == leaves:
            trie, leaf_items = self._trie[1].trie, self._trie[1].leaf_items
        elif len(self._codes) > len(self._base.item_vectors):
            rows = np.array(sorted(leaves))
            index = PrefixIndex.build(self._codes.view[rows])
            trie, leaf_items = index.tables(), rows[index.leaf_items]
        tables = LoopTables(
            item_vectors=self.vectors.view,
            item_inputs=self._inputs.view,
            item_texts=self._texts.view,
            trie=trie,
            leaf_items=leaf_items,
            index=self._base.index,
        )
        self._trie = leaves, tables
        return tables
