"""What a run tells while it goes on, for machines: how far each model is, log lines, metrics, a dashboard of them."""
