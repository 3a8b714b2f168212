"""The wire: requests in, one call of a service, answers out. Nothing here knows SQL or decides a policy."""
