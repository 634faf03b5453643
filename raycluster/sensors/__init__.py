"""How busy, full and hot a machine is, and processes that wait until it is less so."""
