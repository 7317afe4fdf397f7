"""User directories, one file per kind."""
