"""Which call comes next: pure scheduling, without Ray, clocks or threads."""
