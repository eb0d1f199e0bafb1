"""Several processes that serve as one: a small parent owns the sockets and what they share, and replaces the dead."""
