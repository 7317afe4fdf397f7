"""The way to one Redis or Valkey server, shared by the engines that keep something there."""
