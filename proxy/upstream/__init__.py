"""The upstream side: clusters, their connections, and the attempts made on them."""
