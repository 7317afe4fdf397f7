"""The data plane: asyncio protocols between clients and upstreams."""
