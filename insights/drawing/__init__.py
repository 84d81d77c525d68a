"""Pictures as numbers: where boxes, lines and bars stand. Templates draw them, so that CSS gives them their colours."""
