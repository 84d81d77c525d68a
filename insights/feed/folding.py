"""Small and capital letters of every alphabet: SQLite by itself knows those of ASCII alone."""

from django.db.models import Func, TextField


class _Folded(Func):
    output_field = TextField()
    arity = 1

    def as_sqlite(self, compiler, connection, **extra):  # type: ignore[no-untyped-def]
        """Write it for SQLite, which is taught the function on the connection that is about to be asked."""
        name = f"GOLDSEAM_{self.function}"
        fold = str.lower if self.function == "LOWER" else str.upper
        connection.ensure_connection()
        connection.connection.create_function(
            name, 1, lambda value: None if value is None else fold(str(value)), deterministic=True
        )
        return self.as_sql(compiler, connection, function=name, **extra)


class Lower(_Folded):
    """A text in small letters."""

    function = "LOWER"


class Upper(_Folded):
    """A text in capital letters."""

    function = "UPPER"
