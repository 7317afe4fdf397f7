"""The control plane: an ordinary aiohttp application that speaks SimpleJWT."""
