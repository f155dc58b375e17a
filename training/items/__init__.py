"""From item texts and behaviour to collision-free semantic IDs."""
