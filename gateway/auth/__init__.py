"""Who is this, and may they: tokens, keys, passwords, policy. No I/O, no clock."""
