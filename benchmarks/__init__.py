"""Measurements of the whole product; nothing here is packaged."""
