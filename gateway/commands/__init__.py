"""One module per command: `declare` adds its arguments to the parser, `execute` does it and gives the exit code.

What a command needs is imported when it runs: `gateway --help` takes 60 ms instead of 400.
"""
