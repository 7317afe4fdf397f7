"""The sections of the file, one module each; `config.model` puts them together."""
