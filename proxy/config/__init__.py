"""The configuration: YAML, checked as a whole, frozen.

Read in this order: `schema` and its parts (what may be said), `document` (YAML with positions), `load` (text to
`Config`, or every error at once), `lint` (what is wrong between parts), `explain` (what it does with one request).
"""
