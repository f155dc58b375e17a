"""Faults and attacks against real processes: what is promised, and what was measured."""
