"""`streamrec recommend`: answers for many users at once, without a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamrec.options import BundleOption


def recommend(
    bundle: BundleOption,
    users: Annotated[
        Path,
        typer.Option(
            help="CSV, JSONL or Parquet: one row an interaction (user_id, item_id; timestamp and "
            "event_type are optional), or one row a user (user_id, history)."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write: .csv, .jsonl or .parquet.")],
    count: Annotated[int, typer.Option(help="Items for each user.", min=1, max=100)] = 10,
    effort: Annotated[str, typer.Option(help="fast, balanced or deep.")] = "balanced",
    diversity: Annotated[float, typer.Option(min=0, max=1)] = 0.0,
    exclude_seen: Annotated[bool, typer.Option(help="Leave out items of the history.")] = True,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    engine: Annotated[
        str,
        typer.Option(help="local, or ray: a Ray Data job, Parquet in and a folder of Parquet out."),
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Models in use at a time (ray).", show_default="all CPUs"),
    ] = None,
) -> None:
    """Recommend to every user of a file: what `POST /recommend` would answer for the same history.

    Writes user_id, rank, item_id, score and reason, one row a recommended item. The file appears when
    all of it is there; after an interruption the same command goes on. Of the service's settings,
    STREAMREC_EVENT_WEIGHTS and STREAMREC_HISTORY_CAP apply.

    \b
    Examples:
      streamrec recommend --bundle bundle --users events.csv --out recommendations.csv
      streamrec recommend --bundle bundle --users carts.parquet --out top.parquet --effort deep
      streamrec recommend --bundle bundle --users events.parquet --out answers --engine ray
    """
    from model_export.contract.files import sha256
    from service.api.schemas import RecommendRequest
    from service.bulk import BulkRecommender
    from streamrec.bulk import BATCH, Parts, answer_part, sink_of
    from streamrec.console import progress_bars, remark
    from streamrec.histories import read_histories
    from streamrec.service_settings import service_settings

    if effort not in ("fast", "balanced", "deep"):
        raise typer.BadParameter(f"{effort} is not fast, balanced or deep", param_hint="--effort")
    if engine not in ("local", "ray"):
        raise typer.BadParameter(f"{engine} is not local or ray", param_hint="--engine")
    settings = service_settings(bundle=bundle, intra_op_threads=threads)
    request = RecommendRequest.model_validate(
        {"count": count, "effort": effort, "diversity": diversity, "exclude_seen": exclude_seen}
    )
    if engine == "ray":
        from streamrec.ray_engine import recommend_with_ray

        rows = recommend_with_ray(users, out, settings, request, workers)
        remark(f"{out} holds {rows:,} recommendations")
        return
    sink_of(out)
    histories = read_histories(users)
    with BulkRecommender(settings, BATCH) as recommender, progress_bars() as bars:
        key = [
            sha256(users), recommender.model_version, request.model_dump(mode="json"),
            settings.event_weights, settings.history_cap,
        ]  # fmt: skip
        parts = Parts(out, key)
        missing = list(parts.missing(histories))
        left = sum(len(part) for _, part in missing)
        task = bars.add_task("users", total=len(histories), completed=len(histories) - left)
        for number, part in missing:
            parts.put(number, answer_part(recommender, part, request))
            bars.advance(task, len(part))
        parts.finish()
    remark(f"{out} holds recommendations for {len(histories):,} users")
