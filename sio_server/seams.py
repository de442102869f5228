"""The private names of the libraries that the engine leans on, all of them.

Both Socket.IO libraries and aiohttp are pinned with ``==`` for their sake, and a test fails where a
release moves one.
"""

PRIVATE_NAMES = (
    # Overridden: where python-socketio and its engine call what is below the public API.
    ("socketio.AsyncServer", "_engineio_server_class"),
    ("socketio.AsyncServer", "_handle_connect"),
    ("socketio.AsyncServer", "_handle_disconnect"),
    ("socketio.AsyncServer", "_handle_eio_message"),
    ("socketio.AsyncServer", "_handle_event_internal"),
    ("socketio.AsyncServer", "_send_packet"),
    ("socketio.AsyncServer", "_trigger_event"),
    ("engineio.AsyncServer", "_get_socket"),
    # Used: which handler is meant, acknowledgements, packets that wait for their attachments.
    ("socketio.AsyncServer", "_binary_packet"),
    ("socketio.AsyncServer", "_get_event_handler"),
    ("socketio.AsyncServer", "_get_namespace_handler"),
    ("socketio.AsyncManager", "_generate_ack_id"),
    # What a client has sent after its upgrade request, which the WebSocket is to read.
    ("aiohttp.web.RequestHandler", "_message_tail"),
)
"""The owner's dotted path, and the attribute's name."""
