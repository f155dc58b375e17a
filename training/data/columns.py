"""Column names of the input files, spelled once."""

from __future__ import annotations

from typing import Final

USER_ID: Final = "user_id"
ITEM_ID: Final = "item_id"

TIMESTAMP: Final = "timestamp"
HISTORY: Final = "history"
RATING: Final = "rating"
EVENT_TYPE: Final = "event_type"

TITLE: Final = "title"
CATEGORIES: Final = "categories"
BRAND: Final = "brand"
DESCRIPTION: Final = "description"
AVAILABLE: Final = "available"
