"""The section `cluster.guest`: when processes wait for a machine that is shared with others."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from evaljobs.config.section import Section, as_list

_Percent = Annotated[float, Field(ge=0, le=100)]
_Celsius = Annotated[float, Field(gt=0, le=150)]
_Mebibytes = Annotated[float, Field(ge=0)]


class Reading(Section):
    """What was written down of a machine at one moment; what is left out was not read."""

    gpu_free_memory_mb: _Mebibytes | None = Field(None, description="MiB")
    gpu_utilisation: _Percent | None = Field(None, description="percent")
    gpu_temperature: _Celsius | None = Field(None, description="°C")
    cpu_utilisation: _Percent | None = Field(None, description="percent")
    cpu_temperature: _Celsius | None = Field(None, description="°C")
    free_memory_mb: _Mebibytes | None = Field(None, description="MiB")


_Recording = tuple[Reading, ...]


class Guest(Section):
    """What must hold of a machine that is shared with others: work waits until it does. It changes no result."""

    gpu_free_memory_mb: _Mebibytes | None = Field(
        None, description="at least so many MiB of the GPU's memory that others leave"
    )
    gpu_utilisation: _Percent | None = Field(
        None, description="at most so many percent of the time that others keep the GPU busy"
    )
    gpu_temperature: _Celsius | None = Field(None, description="at most so many °C of the GPU, whoever heats it")
    cpu_utilisation: _Percent | None = Field(
        None, description="at most so many percent of the time, over all cores, that others keep the machine busy"
    )
    cpu_temperature: _Celsius | None = Field(None, description="at most so many °C of the hottest processor")
    free_memory_mb: _Mebibytes | None = Field(
        None, description="at least so many MiB of the machine's memory that others leave"
    )
    every_s: float = Field(10, ge=0.05, le=3600, description="seconds between two looks, at work and while waiting")
    resume_margin: float = Field(
        5,
        ge=0,
        le=90,
        description="a temperature or a utilisation must fall so many percent of its limit below it before work goes "
        "on: 5 of 80 °C are 76 °C",
    )
    patience_s: float | None = Field(
        None, gt=0, description="the run ends, and can be resumed, when all that runs has waited so long; else it waits"
    )
    recorded: Annotated[_Recording, BeforeValidator(as_list, json_schema_input_type=_Recording)] = Field(
        (),
        description="to try limits out: readings in place of the machine's sensors, one a look in each process; the "
        "last one holds on",
    )
