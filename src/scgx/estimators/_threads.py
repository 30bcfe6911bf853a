from __future__ import annotations

from threadpoolctl import threadpool_limits


def limit_threads(size: int) -> threadpool_limits:
    """Context of one thread for dense algebra of ``size`` below 1,000, where threads cost more than they bring."""
    return threadpool_limits(1 if size < 1000 else None)
