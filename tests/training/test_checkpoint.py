from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from model_export.contract.errors import RunError
from training.checkpoint import load_progress, load_weights, save_progress, save_weights


def a_trained_pair() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    optimizer = torch.optim.AdamW(module.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        module(torch.randn(2, 3)).square().sum().backward()
        optimizer.step()
    return module, optimizer


def an_untrained_pair() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    return module, torch.optim.AdamW(module.parameters())


def equal(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_weights_come_back_bitwise(tmp_path: Path) -> None:
    module, _ = a_trained_pair()
    other, _ = an_untrained_pair()
    save_weights(tmp_path / "w.safetensors", module)
    load_weights(tmp_path / "w.safetensors", other)
    assert equal(module, other)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_progress_comes_back_with_the_optimizer(tmp_path: Path) -> None:
    module, optimizer = a_trained_pair()
    other, other_optimizer = an_untrained_pair()
    path = tmp_path / "p.safetensors"
    save_progress(path, module, optimizer, {"epoch": 3, "history": [{"loss": 0.5}]})
    assert load_progress(path, other, other_optimizer) == {"epoch": 3, "history": [{"loss": 0.5}]}
    for pair in ((module, optimizer), (other, other_optimizer)):
        pair[1].zero_grad()
        pair[0](torch.ones(2, 3)).sum().backward()
        pair[1].step()
    assert equal(module, other)


def test_nothing_begun_is_no_progress(tmp_path: Path) -> None:
    assert load_progress(tmp_path / "none", *an_untrained_pair()) is None


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def test_damaged_missing_or_foreign_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, nn.Linear(2, 2))
    with pytest.raises(RunError, match="cannot be used"):
        load_weights(path, nn.Linear(3, 2))
    damage(path)
    with pytest.raises(RunError, match="train again"):
        load_weights(path, nn.Linear(2, 2))
    with pytest.raises(RunError, match="none"):
        load_weights(tmp_path / "none", nn.Linear(2, 2))


def test_damaged_or_foreign_progress_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    save_progress(path, *a_trained_pair(), {"epoch": 1})
    other = nn.Linear(2, 2)
    with pytest.raises(RunError, match="begin this step again"):
        load_progress(path, other, torch.optim.AdamW(other.parameters()))
    damage(path)
    with pytest.raises(RunError, match="begin this step again"):
        load_progress(path, *an_untrained_pair())
