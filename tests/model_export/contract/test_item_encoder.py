"""An item without use looks to numpy as it looks to the network."""

from __future__ import annotations

import numpy as np
import torch

from model_export.contract.item_encoder import ItemEncoder, scaled_texts
from tests.training.tiny import network
from training.run import item_encoder


def test_an_unused_item_is_placed_as_the_network_would_place_it() -> None:
    model = network()
    with torch.no_grad():
        model.items.free.weight.zero_()
        targets, inputs = model.item_targets().numpy(), model.item_inputs().numpy()
    encoder = item_encoder(model)
    texts, tokens = model.items.text.numpy(), model.items.tokens.numpy()
    np.testing.assert_allclose(encoder.targets(texts), targets, atol=1e-5)
    np.testing.assert_allclose(encoder.inputs(texts, tokens), inputs, atol=1e-5)


def test_it_survives_its_tables() -> None:
    encoder = item_encoder(network())
    again = ItemEncoder.of(encoder.tables())
    texts = np.ones((2, encoder.projection.shape[0]), np.float32)
    np.testing.assert_array_equal(again.vectors(texts), encoder.vectors(texts))


def test_texts_are_scaled_to_the_size_that_the_network_reads() -> None:
    unit = np.full((1, 16), 0.25, np.float32)
    assert float(np.sqrt(np.square(scaled_texts(unit)).mean())) == 0.25
