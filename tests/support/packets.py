"""Hypothesis strategies for text that is a packet, or almost one."""

from __future__ import annotations

from hypothesis import strategies as st

nearly_packets = st.lists(
    st.sampled_from(
        [
            "0",
            "1",
            "2",
            "3",
            "4",
            "5",
            "6",
            "7",
            "9",
            "b",
            "-",
            "/",
            "/admin",
            "?",
            ",",
            "[",
            "]",
            "{",
            "}",
            ":",
            '"x"',
            '"connect"',
            "null",
            "NaN",
            " ",
            "٤",
            "²",
            "\x1e",
            "%",
            "==",
            '["x"]',
            '{"_placeholder":true,"num":0}',
            "[" * 2000,
        ]
    ),
    max_size=8,
).map("".join)
