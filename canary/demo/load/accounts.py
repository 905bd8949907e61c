"""Creates the demo's user accounts."""

import secrets

PASSWORD = "correct horse battery staple"  # noqa: S105  # everybody's, in a world of pretend users

CREATE_TABLES = """
CREATE TABLE accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    renewed_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE TABLE settings (secret text NOT NULL);
"""
INSERT_ACCOUNTS = """
INSERT INTO accounts (name, password_hash)
SELECT 'user-' || number, %s FROM generate_series(1, %s) AS number
"""


def user_name(number: int) -> str:
    """Return the name of the account with that number (from 1)."""
    return f"user-{number}"


def create_accounts(dsn: str, users: int) -> None:
    """Create the tables and `users` accounts, which share one password hash to save time."""
    import psycopg  # noqa: PLC0415  # heavy, and an extra

    from canary.demo.auth.credentials import password_hasher  # noqa: PLC0415  # as above

    password_hash = password_hasher().hash(PASSWORD)
    with psycopg.connect(dsn) as connection:
        connection.execute(CREATE_TABLES)
        connection.execute(INSERT_ACCOUNTS, (password_hash, users))
        connection.execute("INSERT INTO settings VALUES (%s)", (secrets.token_hex(),))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ANALYZE accounts")
