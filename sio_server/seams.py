"""All private names of python-socketio, python-engineio and aiohttp that the engine uses.

Because of them, the three libraries are pinned with ``==``. A test fails if a pinned release no
longer has one of these names.
"""

PRIVATE_NAMES = (
    # Overridden: the methods by which python-socketio and its engine call the layers below.
    ("socketio.AsyncServer", "_engineio_server_class"),
    ("socketio.AsyncServer", "_handle_connect"),
    ("socketio.AsyncServer", "_handle_disconnect"),
    ("socketio.AsyncServer", "_handle_eio_message"),
    ("socketio.AsyncServer", "_handle_event_internal"),
    ("socketio.AsyncServer", "_send_packet"),
    ("socketio.AsyncServer", "_trigger_event"),
    ("engineio.AsyncServer", "_get_socket"),
    # Overridden: aiohttp must not read from a connection that it shares with the front.
    ("aiohttp.web.RequestHandler", "_pause_transport_reading"),
    ("aiohttp.web.RequestHandler", "_resume_transport_reading"),
    # Called: to find a handler, to number acknowledgements, to hold packets without attachments.
    ("socketio.AsyncServer", "_binary_packet"),
    ("socketio.AsyncServer", "_get_event_handler"),
    ("socketio.AsyncServer", "_get_namespace_handler"),
    ("socketio.AsyncManager", "_generate_ack_id"),
    # Read: bytes that a client has sent after its upgrade request, for the WebSocket.
    ("aiohttp.web.RequestHandler", "_message_tail"),
    # Read: a request that was not begun when its client has left, and the task that would begin it.
    ("aiohttp.web.RequestHandler", "_messages"),
    ("aiohttp.web.RequestHandler", "_task_handler"),
)
"""Pairs of a class's dotted path and the name of its attribute."""
