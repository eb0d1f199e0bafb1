"""One exchange: its data, and the pure machine that decides what happens to it."""
