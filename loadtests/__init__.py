"""Load tests: open load on a whole gateway, verdicts that can fail, and the name of what was used up first."""
