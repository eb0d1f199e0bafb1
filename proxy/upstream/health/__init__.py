"""The health of upstreams: who may be asked, how often again, and who first. Pure but for the active checks."""
