"""The configuration: what may stand in it, and what is said when it is wrong."""

from evaljobs.config.canonical import canonical_json
from evaljobs.config.checking import validate
from evaljobs.config.guest import Guest
from evaljobs.config.loading import load, to_yaml
from evaljobs.config.matrix import combinations, fill
from evaljobs.config.section import PathText, Section
from evaljobs.config.sections import (
    DEFAULT_TARGETS,
    Cluster,
    Config,
    JobConfig,
    Models,
    Preprocessing,
    Targets,
)
from evaljobs.config.sets import OWN_COLUMN, Images, Set, lineage
from evaljobs.config.targets import parse_target, unique_targets
from evaljobs.config.views import STEPS, Step, View

__all__ = [
    "DEFAULT_TARGETS",
    "OWN_COLUMN",
    "STEPS",
    "Cluster",
    "Config",
    "Guest",
    "Images",
    "JobConfig",
    "Models",
    "PathText",
    "Preprocessing",
    "Section",
    "Set",
    "Step",
    "Targets",
    "View",
    "canonical_json",
    "combinations",
    "fill",
    "lineage",
    "load",
    "parse_target",
    "to_yaml",
    "unique_targets",
    "validate",
]
