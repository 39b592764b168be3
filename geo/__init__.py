"""Places, roads and travel times: numbers in, numbers out; no Kafka, no clock.

Read in this order: ``datum`` and ``projection`` (degrees and metres), ``roads`` (the roads
file), ``modes`` (who may travel where), ``geometry`` and ``network`` (the graph), ``snap`` (from
a place to its road), ``live`` (where the members are), ``search`` (who is nearest by travel
time). Beside them ``osm``, ``noding``, ``check`` and ``importer`` turn other people's files into
roads files, ``files`` loads one, and ``place_index`` holds places that change seldom.
"""
