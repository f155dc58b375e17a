"""What the service keeps in Redis: histories, and recommendations that can still be explained."""
