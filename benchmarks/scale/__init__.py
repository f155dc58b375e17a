"""How preparing, vectors and semantic IDs grow with catalogue and users."""
