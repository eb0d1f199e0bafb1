"""HTTP/1.1 framing rules, without input or output: heads, chunked bodies, field lists."""
