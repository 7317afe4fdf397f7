"""Configuration → parts, one module for each family of them. `app` puts the parts together, starts and ends them."""
