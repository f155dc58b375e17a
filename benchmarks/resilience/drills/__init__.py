"""All drills, in the order of the table."""

from benchmarks.resilience.drills import redis_faults  # noqa: F401
