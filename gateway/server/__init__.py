"""Process matters: listener, signals, drain."""
