"""Whether one model is better than another: in a run, between runs, and as a gate."""
