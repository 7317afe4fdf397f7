"""A reverse-proxy authentication gateway: SimpleJWT on the wire, any backend behind it."""

__version__ = "0.1.0"
