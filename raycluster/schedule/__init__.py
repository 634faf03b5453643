"""Schedules: when which configuration is due, who comes first, and what became of it."""
