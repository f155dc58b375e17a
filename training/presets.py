"""Named starting points for a configuration: what each changes of the defaults.

small   a laptop and minutes, for a first look at one's own data
base    the defaults: one machine, up to some hundred thousand items; accuracy is reported with it
large   a GPU and millions of items
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "small": {
        "items": {"text_dims": 64, "behaviour_dims": 32, "codes": 64, "levels": 3},
        "model": {"d_model": 48, "feedforward": 96, "max_history": 20},
        "deliberation": {"candidates": 50, "d_model": 32},
        "stage1": {"optim": {"epochs": 8, "batch_size": 1024}},
        "stage2": {"optim": {"epochs": 4, "patience": 4, "batch_size": 1024}},
        "deliberate": {
            "folds": 2,
            "max_lists": 8000,
            "epochs": 3,
            "network": {"epochs": 5, "patience": 5},
        },
        "stage3": {"steps": 20, "validate_every": 10},
    },
    "base": {},
    "large": {
        "items": {"text_dims": 256, "behaviour_dims": 128, "codes": 2048},
        "model": {
            "d_model": 256,
            "heads": 8,
            "feedforward": 1024,
            "encoder_layers": 4,
            "decoder_layers": 2,
            "max_history": 100,
        },
        "deliberation": {"candidates": 200, "d_model": 96},
        "stage1": {"optim": {"epochs": 8, "batch_size": 4096}, "negatives": 16_384},
        "stage2": {"optim": {"epochs": 6, "batch_size": 4096}, "negatives": 16_384},
        "deliberate": {
            "max_lists": 1_000_000,
            "max_expected": 2_000_000,
            "network": {"epochs": 6, "batch_size": 4096},
        },
        "stage3": {"users": 1024, "steps": 200},
    },
}


def with_preset(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as read from a file, on top of the preset that they name under "preset".

    Raises:
        ValueError: there is no such preset.
    """
    named = dict(settings)
    preset = named.pop("preset", "base")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ValueError(f"preset {preset!r} is not one of {', '.join(PRESETS)}")
    return merged(PRESETS[preset], named)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings, of which `above` wins."""
    result = dict(below)
    for name, value in above.items():
        inner = result.get(name)
        if isinstance(value, Mapping) and isinstance(inner, Mapping):
            value = merged(inner, value)
        result[name] = value
    return result
