"""From what is written about a new item to its semantic ID, without training anything again."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_export.contract.errors import BundleError
from model_export.contract.files import write_json
from model_export.contract.item_vectors import VectorJoin
from model_export.contract.quantize import ResidualQuantizer, SemanticID
from model_export.contract.text_vectors import TextEncoder


@dataclass(frozen=True)
class ItemTokenizer:
    """Text encoder, join and quantizer as training fitted them."""

    text: TextEncoder
    join: VectorJoin
    quantizer: ResidualQuantizer

    def semantic_id(self, text: str, taken: Collection[SemanticID]) -> SemanticID:
        """The semantic ID of a new item: that of its text, or the nearest one that is free.

        Args:
            text: `Item.text`.
            taken: the semantic IDs that other items own; a set makes this fast.

        Raises:
            ValueError: every semantic ID is taken.
        """
        encoded = self.quantizer.encode(self.join(self.text([text])))
        return self.quantizer.free_id(encoded[0], taken)

    def save(self, folder: Path) -> None:
        """Write plain arrays and readable JSON into `folder`."""
        self.text.save(folder / "text")
        weights = {"text": self.join.text_weight, "behaviour": self.join.behaviour_weight}
        write_json(folder / "weights.json", weights)
        np.save(folder / "behaviour_from_text.npy", self.join.behaviour_from_text)
        np.save(folder / "codebooks.npy", self.quantizer.codebooks)
        for layer, (weight, bias) in enumerate(self.quantizer.encoder):
            np.save(folder / f"layer_{layer}_weight.npy", weight)
            np.save(folder / f"layer_{layer}_bias.npy", bias)

    @classmethod
    def load(cls, folder: Path) -> ItemTokenizer:
        """Read what `save` wrote.

        Raises:
            BundleError: a file is missing or unreadable.
        """
        text = TextEncoder.load(folder / "text")
        try:
            weights = json.loads((folder / "weights.json").read_text(encoding="utf-8"))
            join = VectorJoin(
                weights["text"], weights["behaviour"], _array(folder, "behaviour_from_text")
            )
            encoder = tuple(
                (
                    _array(folder, f"layer_{layer}_weight"),
                    _array(folder, f"layer_{layer}_bias"),
                )
                for layer in range(len(list(folder.glob("layer_*_weight.npy"))))
            )
            quantizer = ResidualQuantizer(_array(folder, "codebooks"), encoder)
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"the item tokenizer {folder} cannot be read: {error}") from error
        return cls(text, join, quantizer)


def _array(folder: Path, name: str) -> NDArray[Any]:
    array: NDArray[Any] = np.load(folder / f"{name}.npy", allow_pickle=False)
    return array
