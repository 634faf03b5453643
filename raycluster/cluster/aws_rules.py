"""What Ray's own checks of a cluster's file let pass on AWS: it hands most of what it is given to EC2 unseen."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from raycluster.cluster.rules import Written

# What Ray reads of `provider`; anything else it keeps, and never looks at.
PROVIDER_KEYS = (
    "type",
    "region",
    "availability_zone",
    "cache_stopped_nodes",
    "use_internal_ips",
    "use_external_head_ip",
    "key_pair",
    "security_group",
    "cloudwatch",
    "aws_credentials",
    "disable_node_updaters",
    "disable_launch_config_check",
    "foreground_node_launch",
)
# Of a node_config: what Ray takes for itself, before EC2 gets the rest.
_RAYS_OWN = {"SubnetIds"}
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
_WORLD = {"0.0.0.0/0", "::/0"}
_SSH = 22


def _is_aws(written: Written) -> bool:
    return bool(written.config["provider"].get("type") == "aws")


def unknown_provider_keys(written: Written) -> Iterator[str]:
    """Say which keys of `provider` nobody reads."""
    if not _is_aws(written):
        return
    for key in written.config["provider"]:
        if key not in PROVIDER_KEYS:
            near = difflib.get_close_matches(str(key), PROVIDER_KEYS, n=1)
            yield f"provider.{key} is no key that Ray reads{f'; did you mean {near[0]}?' if near else ''}"


def places(written: Written) -> Iterator[str]:
    """Say where region and zones are none, or are not of each other."""
    if not _is_aws(written):
        return
    provider = written.config["provider"]
    region = str(provider.get("region", ""))
    if not _REGION.fullmatch(region):
        yield f"provider.region is {region!r}; expected a region such as us-west-2"
        return
    for zone in filter(None, (part.strip() for part in str(provider.get("availability_zone") or "").split(","))):
        if not zone.startswith(region) or zone == region:
            yield f"provider.availability_zone names {zone}, which is no zone of {region}, such as {region}a"


def wrong_machines(written: Written) -> Iterator[str]:
    """Say what EC2 would not take of the types' node_config, by the words of its own interface."""
    if not _is_aws(written):
        return
    for name, one in written.types().items():
        config = {key: value for key, value in (one.get("node_config") or {}).items() if key not in _RAYS_OWN}
        for text in _refusals(config):
            yield f"available_node_types.{name}.node_config: {text}"
        if "InstanceType" not in config and "LaunchTemplate" not in config:
            yield f"available_node_types.{name}.node_config has no InstanceType"


def _refusals(config: Mapping[str, Any]) -> list[str]:
    from botocore.validate import ParamValidator

    report = ParamValidator().validate({**config, "MinCount": 1, "MaxCount": 1}, _request())
    lines = [" ".join(line.split()) for line in report.generate_report().splitlines()]
    # It lists all of the hundred parameters that there are; the nearest is enough.
    return [_nearest(line) for line in lines if line]


def _nearest(line: str) -> str:
    found = re.match(r'Unknown parameter in (?:input|(\S+)): "(\w+)", must be one of: (.*)', line)
    if found is None:
        return line
    where, name, known = found[1] or "", found[2], found[3].split(", ")
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"EC2 has no {where}{'.' if where else ''}{name}{f'; did you mean {near[0]}?' if near else ''}"


@functools.cache
def _request() -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape


def open_to_the_world(written: Written) -> Iterator[str]:
    """Say where the security group lets the internet in by more than SSH."""
    if not _is_aws(written):
        return
    group = written.config["provider"].get("security_group") or {}
    for rule in group.get("IpPermissions") or ():
        ranges = {one.get("CidrIp") for one in rule.get("IpRanges") or ()}
        ranges |= {one.get("CidrIpv6") for one in rule.get("Ipv6Ranges") or ()}
        ports = (rule.get("FromPort"), rule.get("ToPort"))
        if ranges & _WORLD and ports != (_SSH, _SSH):
            yield (
                f"provider.security_group opens ports {ports[0]} to {ports[1]} to the whole internet: name the "
                "addresses that may come in, or use `ray dashboard`"
            )


def unheard_of(written: Written) -> Iterator[str]:
    """Say which instance types nobody here has heard of, and which machines would get an image from long ago."""
    if not _is_aws(written):
        return
    known = _request().members["InstanceType"].enum
    for name, one in written.types().items():
        config = one.get("node_config") or {}
        kind = config.get("InstanceType")
        if kind and kind not in known:
            near = difflib.get_close_matches(str(kind), known, n=1)
            yield (
                f"available_node_types.{name} has the instance type {kind}, which the installed botocore does not know"
                + (f"; did you mean {near[0]}?" if near else "")
            )
        if "ImageId" not in config and "LaunchTemplate" not in config:
            yield f"available_node_types.{name} names no ImageId: Ray takes an Ubuntu 18.04, too old for Python 3.11"
