"""Ray, and nothing of images or metrics: connect, schedule, run."""
