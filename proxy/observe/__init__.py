"""What can be seen from outside: metrics, access log, traces."""
