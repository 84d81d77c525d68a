"""Which rights of a connection are used, what names them, and the click that takes one away."""
