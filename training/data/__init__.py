"""From raw files to ordered user histories."""
