"""From a configuration to results: what is missing, how it is made, what is written. No Ray."""
