"""The way to one PostgreSQL database, shared by the engines that keep something there."""
