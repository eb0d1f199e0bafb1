"""An upstream that misbehaves on command, to see what a gateway makes of it.

Read in this order: `catalogue` (what can go wrong), `spec` and `script` (how it is asked for), `asked` and `completion`
(what a request wants, and the text it gets), `shaping` (faults of what is said), `steps` (faults of how it is sent),
`connection` (who plays the steps). It is a program of its own: nothing in the gateway imports it.
"""
