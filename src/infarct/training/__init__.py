"""Training: recipes as data, patches, losses, and the loop that makes weights of prepared cases."""
