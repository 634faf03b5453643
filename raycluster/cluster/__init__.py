"""Clusters: starting, ending, checking what is to be started, and saying how they are.

launching                        a cluster that a file describes, by `ray up` and `ray down`
checking, rules, aws_rules       whether that file is right
local_head                       a head on this machine
looking, answers                 how a cluster is, over HTTP
state, waiting, showing          the same as data; why work waits; as tables
"""
