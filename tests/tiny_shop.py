"""A shop and settings so small that all three stages take seconds."""

from __future__ import annotations

from pathlib import Path

ITEMS = 48
USERS = 60
KINDS = ("camera", "lens", "tripod", "frame", "lamp", "rug")

CONFIG = """
[items]
text_dims = 8
behaviour_dims = 4
levels = 2
codes = 16

[evidence]
neighbours = 10
hop = 5

[model]
d_model = 16
encoder_layers = 1
feedforward = 32
max_history = 8
max_steps = 2

[deliberation]
candidates = 10
d_model = 16
heads = 2

[stage1]
similar = 4
[stage1.optim]
epochs = 3
batch_size = 64

[stage2.optim]
epochs = 2
batch_size = 64

[deliberate]
folds = 2
epochs = 2
[deliberate.network]
epochs = 2
batch_size = 64

[stage3]
steps = 4
users = 16
group = 4
negatives = 10
validate_every = 2

[inference]
efforts = { fast = 0, balanced = 1, deep = 2 }
beams = 4
"""


def write_tiny_shop(folder: Path) -> None:
    """Write interactions.csv, items.csv and config.toml: everyone walks on to the next items."""
    folder.mkdir(parents=True, exist_ok=True)
    items = ["item_id,title,categories,colour"]
    for number in range(ITEMS):
        kind = KINDS[number % len(KINDS)]
        items.append(f"item-{number},{kind.title()} number {number},{kind},{number % 5}")
    interactions = ["user_id,item_id,timestamp"]
    for user in range(USERS):
        for step in range(5 + user % 4):
            item = (user * 7 + step * (1 + user % 2)) % ITEMS
            interactions.append(f"user-{user},item-{item},{1_700_000_000 + step * 60}")
    (folder / "items.csv").write_text("\n".join(items) + "\n")
    (folder / "interactions.csv").write_text("\n".join(interactions) + "\n")
    (folder / "config.toml").write_text(CONFIG)
