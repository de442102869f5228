"""Engine.IO 4: sessions, and the transports that carry them."""
