"""Xiaohe: event-streaming geospatial dispatch; the rooms are its subpackages."""
