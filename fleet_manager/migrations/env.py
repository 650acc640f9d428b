"""Where Alembic finds the connection and the tables; called by ``fleet_manager.store``, never by hand."""

from alembic import context

from fleet_manager.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
