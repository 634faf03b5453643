"""What `raycluster` knows of evaljobs: the object that the entry point `raycluster.programs` names."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import evaljobs
from evaljobs.errors import EvaljobsError, RemoteError, RemoteErrorKind
from raycluster.errors import ClusterError, UnreachableError
from raycluster.program import Asked, Parcel, Program, Stage, Verdict

_VERSION = re.compile(r"evaljobs (\S+)")


class EvaljobsProgram:
    """Evaljobs as a `raycluster.program.Program`. What is heavy is imported when it is needed."""

    @property
    def version(self) -> str:
        """As ``python -m evaljobs --version`` says it."""
        return f"evaljobs {evaljobs.__version__}"

    def pack(self, config: Path, asked: Asked) -> Parcel:
        """Check a configuration and return what travels; see `Program`."""
        from evaljobs.shipping.packing import pack

        with _explained():
            return pack(config, asked)

    def check(self, parcel: Parcel) -> None:
        """Refuse a parcel whose results could not be brought here; see `Program`."""
        from evaljobs.shipping.fetching import check

        if parcel.out is not None:
            with _explained():
                check(parcel.out, _travelling(parcel)["submitted"]["digest"])

    def upload(self, parcel: Parcel, say: Callable[[str], None]) -> None:
        """Bring all that the parcel needs to its place; see `Program`."""
        from evaljobs.shipping.sending import send

        with _explained():
            send(parcel.uploads, _travelling(parcel)["store"], say)

    def fetch(self, results: str, out: Path, say: Callable[[str], None]) -> None:
        """Bring results into a local folder; see `Program`."""
        from evaljobs.shipping.fetching import fetch

        with _explained():
            fetch(results, out, say)

    def keep(self, results: str, folder: Path) -> None:
        """Copy what later results are held against; see `Program`."""
        from evaljobs.shipping.judging import keep

        with _explained():
            keep(results, folder)

    def with_gates(self, gates: Sequence[str]) -> tuple[str, ...]:
        """Return the key that holds gates; see `Program`."""
        return (f"gate={json.dumps(list(gates))}",)

    def stages(self, log: str) -> Sequence[Stage]:
        """Read out of a job's log how far it is; see `Program`."""
        from evaljobs.watching.stages import read_stages

        return [Stage(*reported) for reported in read_stages(log)]

    def line(self, text: str) -> str | None:
        """Return a line of a job's log for people; see `Program`."""
        from evaljobs.watching.stages import in_words

        if _VERSION.fullmatch(text):  # the run says it again itself
            if text == self.version:
                return None
            return f"the cluster runs {text}, and here is {self.version}: pixels, keys or words may differ"
        return in_words(text)

    def judge(self, results: str, baseline: str | None, gates: Sequence[str]) -> Verdict:
        """Hold results against earlier ones; see `Program`."""
        from evaljobs.shipping.judging import judge

        with _explained():
            return judge(results, baseline, gates)


def _travelling(parcel: Parcel) -> Any:
    """Return the configuration as it travels."""
    from evaljobs.config.loading import parse_yaml

    name = parcel.command[2]
    return parse_yaml(parcel.files[name].decode(), name)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Raise our own errors as those that `raycluster` shows: apart what may go well in a while."""
    try:
        yield
    except EvaljobsError as error:
        remote = [one for one in (error, error.__cause__) if isinstance(one, RemoteError)]
        if any(one.kind is RemoteErrorKind.UNREACHABLE for one in remote):
            raise UnreachableError(str(error)) from error
        raise ClusterError(str(error)) from error


PROGRAM: Program = EvaljobsProgram()
