"""A sandboxed command's connections: the proxy to allowed hosts, and the callback channel to this server."""
