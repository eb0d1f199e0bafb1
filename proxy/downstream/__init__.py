"""The client side: connections, request bodies, answers."""
