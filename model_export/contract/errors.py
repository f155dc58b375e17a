"""Errors that a user can act on.

StreamRecError
├── ConfigError   a configuration file or option is wrong
├── DataError     an input file is wrong (names file, row and column)
├── RunError      a run directory cannot be used as asked
└── BundleError   a bundle is damaged, unverified or of another format
"""

from __future__ import annotations


class StreamRecError(Exception):
    """One clear sentence for the user: what is wrong, where, and what to do."""


class ConfigError(StreamRecError):
    """A configuration file or option is wrong; all problems are named at once."""


class DataError(StreamRecError):
    """An input file is wrong; the message names the file, the row and the column."""


class RunError(StreamRecError):
    """A run directory lacks a step, or holds one made from other inputs."""


class BundleError(StreamRecError):
    """A bundle is missing, damaged, of another format, or failed verification."""
