"""Promises that the test suite checks: their tests, run from here too."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

from benchmarks.resilience.drill import DRILLS, Drill, Finding, World

ROWS = {
    "races": (
        "two workers or replicas store events of one user at once",
        "both are kept, an `event_id` once, in order of arrival",
        "tests/service/test_stores.py tests/service/test_server.py::test_workers_share_histories_and_metrics",
    ),
    "killed": (
        "the service is killed with -9",
        "its workers and its own Redis end with it; the port is free",
        "tests/service/test_server.py::test_nothing_outlives_a_service_that_is_killed",
    ),
    "takeover": (
        "the primary of a Sentinel, or one of a Redis Cluster, is killed and its replica takes over",
        "the service finds it without a restart; what was replicated is there",
        "tests/service/test_redis_url.py",
    ),
    "json": (
        "hostile JSON: depth, size, NaN, duplicate keys, lone surrogates; ids, counts, histories and "
        "batches beyond their limits",
        "a problem document that names the field; nothing else is harmed",
        "tests/service/test_problems.py tests/service/test_hostile_json.py",
    ),
    "files": (
        "hostile CSV, JSONL and Parquet: formula cells, NUL bytes, a field of 1 GB, a header of a million "
        "columns, a footer that claims a billion rows",
        "one sentence with file and row, in bounded memory; a formula stays text",
        "tests/training/data/test_input_errors.py tests/training/data/test_hostile_files.py",
    ),
    "properties": (
        "any input at all (hypothesis): files, semantic IDs, trie, histories",
        "read as written or refused in one sentence; codes and ids map back; only known items are allowed",
        "tests/training/data/test_formats.py tests/model_export/contract/test_semantic_ids.py "
        "tests/model_export/contract/test_prefix_index.py tests/model_export/contract/test_history.py",
    ),
    "fuzz": (
        "requests made from the OpenAPI document",
        "every answer is one that the document describes",
        "tests/service/test_schemathesis.py",
    ),
    "keys": (
        "calls without a key, with a wrong one, or beyond its scope",
        "401 or 403 before the body is read, compared in constant time; keys are in no log, metric or answer",
        "tests/service/security/test_keys.py tests/service/security/test_gate.py "
        "tests/service/security/test_logs.py",
    ),
    "browser": (
        "pages of other origins, frames, injected scripts",
        "CORS is closed unless origins are named; security headers on every answer; docs and page can be "
        "switched off",
        "tests/service/security/test_gate.py tests/service/test_page.py",
    ),
    "secrets": (
        "logs, metrics and errors in the wrong hands",
        "one JSON object a line with the request id; no history, user, key, password, path or stack trace",
        "tests/service/security/test_logs.py tests/service/test_problems.py tests/service/test_operations.py",
    ),
    "erasure": (
        "somebody asks to be forgotten",
        "after `DELETE /users/{id}` the id is nowhere in Redis: not in keys, not in values. An event "
        "stream is out of its reach: entries stay until they are trimmed, and what waits there is taken "
        "in later; erase again then",
        "tests/service/test_erasure.py tests/service/test_event_stream.py",
    ),
    "pickle": (
        "files that run code when they are loaded",
        "no pickle anywhere: safetensors, `allow_pickle=False`, ONNX after its checksum",
        "tests/test_architecture.py tests/model_export/contract/test_bundle.py",
    ),
    "locks": (
        "a dependency that changed since yesterday",
        "images install from lock files with hashes",
        "tests/test_locks.py",
    ),
}


def _suite(paths: str) -> Callable[[World], Finding]:
    def tested(_: World) -> Finding:
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths.split()],
            capture_output=True,
            text=True,
        )
        last = ended.stdout.strip().splitlines()[-1] if ended.stdout.strip() else ended.stderr
        passed = re.search(r"(\d+) passed", last)
        figure = f"{passed[1]} tests pass" if passed else last
        return Finding(ended.returncode == 0, figure if ended.returncode == 0 else last)

    return tested


for _name, (_fault, _promise, _paths) in ROWS.items():
    _files = ", ".join(f"`{path}`" for path in _paths.split())
    DRILLS[_name] = Drill(_name, _fault, _promise, _suite(_paths), _files)
