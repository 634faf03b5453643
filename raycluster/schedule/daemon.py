"""The scheduler: look, decide, do, write down, again. It may be killed at any moment: the state file knows how on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future

from raycluster.schedule.book import Book, StaleError
from raycluster.schedule.deciding.actions import Action, Enqueue, Halt, Judge, Launch, Report, Send, Write
from raycluster.schedule.deciding.plan import plan
from raycluster.schedule.hands import Hands, words
from raycluster.schedule.outside import Outside
from raycluster.schedule.records import Run, Snapshot, State, due_text

_Key = tuple[str, int]
# What is done beside the loop, since it may take long: packing and uploading, reading results, a slow receiver.
_SLOW = (Launch, Judge, Send)
_LONGEST_WAIT_S = 60.0
_NAP_S = 0.5
AT_ONCE = 4


class Daemon:
    """Carries schedules out. At most one works on a state file at a time (`places.hold`).

    Parameters
    ----------
    executor
        For what may take long; None: everything is done in its turn.
    launcher
        For packing and uploading, which may take hours, so that judging and telling need not wait for it; None: as the
        rest.
    """

    def __init__(
        self,
        book: Book,
        hands: Hands,
        outside: Outside,
        executor: Executor | None = None,
        launcher: Executor | None = None,
    ) -> None:
        self._book, self._hands, self._outside, self._executor = book, hands, outside, executor
        self._launcher = launcher or executor
        # What went wrong with each run the last time: said once.
        self._wrong: dict[_Key, str] = {}
        self._busy: dict[_Key, Future[bool]] = {}
        self._looked: float | None = None
        self._wake = threading.Event()
        self._stopped = False

    def step(self) -> bool:
        """Look and do what comes next; return whether more may follow at once."""
        now = self._outside.clock()
        busy = self._still_busy()  # first: what ends meanwhile is in the snapshot, or still counts as busy
        snapshot = self._book.snapshot()
        observed = self._hands.observe(snapshot, busy)
        # A clock that had gone ahead, in this life or in the one before, has taken due times that are yet to come.
        rewound = self._looked is None or now < self._looked
        self._looked = now
        changed = False
        waits = self._hands.waits(snapshot, observed, now)
        for action in plan(snapshot, observed, now, waits=waits, rewound=rewound):
            key = _key(action)
            if key is None or key not in busy:
                changed |= self._do(action, snapshot, now)
        return changed

    def run(self, poll_s: float) -> None:
        """Step until `stop` is called; in between wait for so many seconds, or for something to be finished."""
        wait_s = poll_s
        while not self._stopped:
            self._wake.clear()
            try:
                wait_s = 0 if self.step() else poll_s
            except Exception as error:  # whatever it is, other runs wait for the scheduler
                wait_s = min(_LONGEST_WAIT_S, max(poll_s, 2 * wait_s))
                self._outside.say(f"{words(error)}; nothing is lost, trying again in {wait_s:g} s")
            self._wait(wait_s)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopped and (left := until - time.monotonic()) > 0 and not self._wake.wait(min(left, _NAP_S)):
            pass

    def stop(self) -> None:
        """End `run` after what it is at. Safe in a signal handler, which must not touch the lock of an event."""
        self._stopped = True

    def _still_busy(self) -> set[_Key]:
        self._busy = {key: future for key, future in self._busy.items() if not future.done()}
        return set(self._busy)

    def _do(self, action: Action, snapshot: Snapshot, now: float) -> bool:
        match action:
            case Enqueue():
                self._book.enqueue(action, now)
                return True
            case Write(before, after):
                try:
                    self._book.write(action)
                except StaleError:  # somebody else was faster; the next look shows what is to be done
                    return False
                self._say(before, after)
                return True
            case _:
                act, key = self._act(action, snapshot), _key_of(action)
                executor = self._launcher if isinstance(action, Launch) else self._executor
                if executor is None or not isinstance(action, _SLOW):
                    return self._guarded(act, key)
                self._busy[key] = executor.submit(self._guarded, act, key)
                return False

    def _act(self, action: Launch | Halt | Judge | Report | Send, snapshot: Snapshot) -> Callable[[], bool]:
        if isinstance(action, Send):
            message = action.message
            return lambda: self._hands.send(message, snapshot.schedules[message.schedule])
        act = {Launch: self._hands.launch, Halt: self._hands.halt, Judge: self._hands.judge, Report: self._hands.report}
        run = action.run
        return lambda: act[type(action)](run, snapshot.schedules[run.schedule])

    def _guarded(self, act: Callable[[], bool], key: _Key) -> bool:
        """Act, in a thread of its own perhaps; whatever goes wrong is said, and decided anew at the next look.

        So nothing that concerns one run keeps the others waiting. Where the state file cannot be written, all wait.
        """
        changed = False
        try:
            changed = act()
        except StaleError:
            pass
        except Exception as error:
            wrong = words(error)
            if self._wrong.get(key) != wrong:
                self._outside.say(f"{key[0]} {due_text(key[1])}: {wrong}; trying again")
            self._wrong[key] = wrong
        else:
            self._wrong.pop(key, None)
        if changed:
            self._wake.set()
        return changed

    def _say(self, before: Run, after: Run) -> None:
        if before.state is not after.state:
            why = after.cause if after.state is State.STOPPING else after.outcome or ""
            self._outside.say(f"{after.job_id}: {before.state} -> {after.state}{f' ({why})' if why else ''}")


def _key(action: Action) -> _Key | None:
    """Return the run that an action is about: of each, one thing is done at a time."""
    match action:
        case Enqueue():
            return None
        case Write(before):
            return before.key
        case _:
            return _key_of(action)


def _key_of(action: Launch | Halt | Judge | Report | Send) -> _Key:
    return (action.message.schedule, action.message.due) if isinstance(action, Send) else action.run.key
