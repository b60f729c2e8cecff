"""Which session belongs to which viewer: a weak mapping, so that neither keeps the other."""

from __future__ import annotations

import threading
import weakref

from napari_cellseg.session.session import Session
from napari_cellseg.worker import Deliver

# Keyed by identity: a viewer model compares by value and need not be hashable.
_sessions: dict[int, tuple[weakref.ref[object], Session]] = {}
_lock = threading.RLock()


def session_for(viewer: object, deliver: Deliver | None = None) -> Session:
    """Return the session of a viewer, made on first use and closed when the viewer is gone.

    Parameters
    ----------
    viewer : object
        Anything that can be weakly referenced.
    deliver : callable, optional
        How results reach the viewer's thread; given again, it replaces the former.
    """
    key = id(viewer)
    with _lock:
        known = _sessions.get(key)
        if known is not None and known[0]() is viewer and not known[1].is_closed:
            session = known[1]
            if deliver is not None:
                session.deliver = deliver
            return session
        session = Session(deliver)
        _sessions[key] = (weakref.ref(viewer), session)
        gone = weakref.finalize(viewer, _forget, key, weakref.ref(session))
        gone.atexit = False  # the worker's own shutdown sees to that
        return session


def _forget(key: int, reference: weakref.ref[Session]) -> None:
    session = reference()
    with _lock:
        known = _sessions.get(key)
        if known is not None and known[1] is session:
            del _sessions[key]
    if session is not None:
        session.close()
