"""A cluster to talk to: joining one, or starting one that ends with the process; who may; whether it still answers."""
