"""The demo: one command that starts every part as a process, for people to try. Nothing imports it."""
