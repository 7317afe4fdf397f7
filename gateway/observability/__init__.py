"""What the operator can see."""
