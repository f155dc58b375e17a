"""What training and service must agree on; needs nothing but numpy and pydantic."""
