"""The database: pool, transactions, error mapping, the embedded server, migrations. It knows SQL but no use case."""
