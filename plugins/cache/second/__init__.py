"""The cache's second level: a Redis that several instances share."""
