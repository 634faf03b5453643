"""A plan carried out on Ray: tasks, actors, retries, cleaning up."""
