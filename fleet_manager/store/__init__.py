"""The office's memory: one SQL database behind plain values of ``fleet_manager.domain``."""

from fleet_manager.store.database import Rows, Store

__all__ = ["Rows", "Store"]
