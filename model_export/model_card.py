"""A bundle's model card: what the model was made from and what it reached, for a person."""

from __future__ import annotations

from model_export.contract.bundle import Manifest


def model_card(manifest: Manifest) -> str:
    """The card as Markdown."""
    data, model = manifest.data, manifest.model
    efforts = ", ".join(f"{name} {steps}" for name, steps in manifest.inference.efforts)
    weighed = [(name, weight) for name, weight in manifest.scoring.items() if abs(weight) >= 0.005]
    lines = [
        f"# Model {manifest.model_version}",
        "",
        f"Made {manifest.created_at:%Y-%m-%d %H:%M} UTC from {data['interactions']:,} interactions of "
        f"{data['users']:,} users with {data['items']:,} items (seed {data['seed']}).",
        "",
        f"- network: width {model.d_model}, {model.encoder_layers} encoder and "
        f"{model.decoder_layers} decoder layers, {model.heads} heads, "
        f"reads the newest {model.max_history} items",
        f"- semantic IDs: {' × '.join(map(str, manifest.code_sizes))} codes, one ID per item",
        f"- reasoning steps by effort: {efforts}",
        f"- mix: {', '.join(f'{name} {weight:.2f}' for name, weight in weighed)}",
        *_index(manifest),
        "",
    ]
    if manifest.metrics:
        lines += ["| validation, seen items removed | NDCG@10 | Recall@10 |", "|---|---|---|"]
        lines += [
            f"| {name} | {figures['ndcg@10']:.4f} | {figures['recall@10']:.4f} |"
            for name, figures in manifest.metrics.items()
        ]
        lines.append("")
    return "\n".join(lines)


def _index(manifest: Manifest) -> list[str]:
    """A line on the index, where there is one."""
    if manifest.index is None or manifest.index.recall is None:
        return []
    return [
        f"- index: {manifest.index.cells:,} cells, of which a request reads "
        f"{manifest.inference.read_items:,} items; its answers have {manifest.index.recall:.1%} of the "
        "top 10 that reading all would give"
    ]
