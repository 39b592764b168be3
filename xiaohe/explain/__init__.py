"""Why an order was given, for people: read from the topics, judged again on the map, put in words.

``reading`` fetches the events, ``story`` makes orders of them, ``recheck`` works the travel times
out anew, ``words`` holds every sentence and ``picture`` sets them on the page. Only ``reading``
does I/O.
"""
