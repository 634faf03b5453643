"""evaljobs as a program that raycluster submits: what travels to a cluster, and what comes back."""
