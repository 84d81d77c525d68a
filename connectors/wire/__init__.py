"""What goes over the line, whatever the system: addresses, connections, signatures, and formats read within bounds."""
