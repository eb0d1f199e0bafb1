"""Lets static tools follow the relative imports below this folder."""
# Not shipped: `headgate` is a namespace mapped to the folders here (setup.py).
