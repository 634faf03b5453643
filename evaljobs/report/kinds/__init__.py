"""What each kind of job shows: a function from what was found to its section, by the kind's name."""
