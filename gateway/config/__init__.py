"""YAML → frozen dataclasses; every problem at once."""
