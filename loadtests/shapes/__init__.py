"""How many requests a second are to come, and when each of them does."""
