"""Jobs on a cluster: submitting, following, stopping, trying again, through Ray's Jobs API."""
