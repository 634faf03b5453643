"""Who may talk to what: addresses that may be used, the token, and what is never printed.

addresses       what an address means, and whether a token may travel there
tokens          where Ray's token lies, and how one is made
servers         a job server with its address and token: the one door for whoever talks to a cluster
web             asking it something
redaction       taking secrets out of text
private         files that nobody else may read
remembered      the head that `raycluster up --local` has left running
"""
