"""Runs on Kubernetes, as manifests for KubeRay and Kueue: plain data, written as YAML; nothing here talks to a cluster.

asked           what the user wants, checked
files           the run's files as a ConfigMap
rayjob          a RayJob: a Ray cluster of its own for one run
cronjob         a CronJob that creates RayJobs, and what it must be allowed
manifest        all of it together
creating        what the CronJob carries out inside Kubernetes
"""
