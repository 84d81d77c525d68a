"""What the gateway holds each use against, and what it writes down; ``connectors.gateway`` alone lets a use in."""
