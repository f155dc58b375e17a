"""All drills."""

from benchmarks.resilience.drills import (  # noqa: F401
    durability,
    interruption,
    load,
    machine,
    redis_faults,
    suites,
    swap,
)  # fmt: skip
