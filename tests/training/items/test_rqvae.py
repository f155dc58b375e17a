from __future__ import annotations

import numpy as np
import pytest
import torch

from training.items.rqvae import RQVAE, train_rqvae


@pytest.fixture
def vectors() -> torch.Tensor:
    return torch.randn(64, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model(vectors: torch.Tensor) -> RQVAE:
    torch.manual_seed(0)
    model = RQVAE(dims=6, levels=2, codes=4)
    model.start_codebooks(vectors, seed=0)
    return model


def test_every_trainable_parameter_moves(model: RQVAE, vectors: torch.Tensor) -> None:
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss, _ = model(vectors)
    loss.backward()
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_the_quantization_loss_by_hand(model: RQVAE) -> None:
    latent = torch.zeros(1, model.codebooks.shape[2])
    latent[0, 0] = 3.0
    with torch.no_grad():
        model.codebooks.fill_(100.0)
        model.codebooks[0, 1] = 0.0
        model.codebooks[0, 1, 0] = 2.0
        model.codebooks[1, 2] = 0.0
    quantized, codes, loss = model.quantize(latent)
    # residuals 3 and 1 against entries 2 and 0: squared errors 1 and 1, commitment a quarter each
    assert codes.tolist() == [[1, 2]]
    assert quantized[0, 0] == 2
    assert loss.item() == pytest.approx(2 * 1.25)


def test_dead_codes_restart_where_vectors_are(model: RQVAE, vectors: torch.Tensor) -> None:
    with torch.no_grad():
        model.codebooks[:, 0] = 1e3
    assert 0 not in model(vectors)[1]
    model.restart_dead_codes(vectors, torch.Generator().manual_seed(0))
    _, codes = model(vectors)
    assert 0 in codes[:, 0]
    assert model.codebooks.abs().max() < 1e2


def test_exported_arrays_give_the_codes_of_the_module(model: RQVAE, vectors: torch.Tensor) -> None:
    quantizer = model.export()
    codes = quantizer.codes(quantizer.encode(vectors.numpy()))
    np.testing.assert_array_equal(codes, model(vectors)[1].numpy())


def test_training_lowers_the_reconstruction_error(vectors: torch.Tensor) -> None:
    errors = []
    for epochs in (1, 40):
        model = train_rqvae(vectors.numpy(), levels=2, codes=8, seed=0, epochs=epochs)
        quantized, _, _ = model.quantize(model.encoder(vectors))
        errors.append((model.decoder(quantized) - vectors).square().mean().item())
    assert errors[1] < 0.5 * errors[0]
