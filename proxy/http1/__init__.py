"""Header fields of HTTP/1.1, without input or output. Heads and bodies are read by `ext.http1`."""
