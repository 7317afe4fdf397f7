"""HTTP/1.1 as pure functions: heads, targets, fields, framing. No I/O, no clock."""
