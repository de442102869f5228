"""Drawings of furniture, to scale, from the data of a piece. Pure: knows no Django and no page."""
