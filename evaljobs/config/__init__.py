"""The configuration: what may stand in it, and what is said when it is wrong."""

from evaljobs.config.canonical import canonical_json
from evaljobs.config.checking import validate
from evaljobs.config.loading import load, to_yaml
from evaljobs.config.matrix import combinations, fill
from evaljobs.config.sections import (
    DEFAULT_TARGETS,
    Cluster,
    Config,
    Images,
    JobConfig,
    Models,
    PathText,
    Preprocessing,
    Section,
    Set,
    Targets,
)
from evaljobs.config.targets import parse_target, unique_targets

__all__ = [
    "DEFAULT_TARGETS",
    "Cluster",
    "Config",
    "Images",
    "JobConfig",
    "Models",
    "PathText",
    "Preprocessing",
    "Section",
    "Set",
    "Targets",
    "canonical_json",
    "combinations",
    "fill",
    "load",
    "parse_target",
    "to_yaml",
    "unique_targets",
    "validate",
]
