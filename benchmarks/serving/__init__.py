"""How fast the service answers, and where the time goes."""
